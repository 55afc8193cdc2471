"""The rows of `verify.py`: each is one way to verify all addresses, in a process of its own.

`python bench/verify_rows.py ROW TARGET` prints one line of JSON. Every row probes the same addresses at the same
servers; ours alone also sends one random probe per domain. Libraries that are SMTP clients only (smtplib, aiosmtplib)
connect to the given server and look up nothing. Verifiers are called as their documentation says, from 50 threads, and
use the same small name server as ours. `_redirected` leads them to mail hosts under .test and to another port than 25.
"""

import asyncio
import importlib.util
import json
import os
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from io import StringIO
from typing import Any

import uvloop
from verify_servers import postfix_program

from pipeline.contacts import Batch, Contact
from pipeline.evidence import ReplyEvidence
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.outcomes import Outcome
from pipeline.stages.email_verify import EmailVerify
from worker.garbage import collect_rarely

THREADS = 50
CONVERSATIONS = 200
SENDER = "bench@sender.test"
HELO = "client.test"


@dataclass(frozen=True)
class Target:
    """The servers to use, and how many addresses of how many domains to verify."""

    smtp_port: int
    dns_port: int
    domains: int
    each: int

    @property
    def by_domain(self) -> list[tuple[str, list[str]]]:
        """The domains with their addresses."""
        names = [domain_name(number) for number in range(self.domains)]
        return [(name, [f"person{number}@{name}" for number in range(self.each)]) for name in names]

    @property
    def addresses(self) -> list[str]:
        """All addresses."""
        return [address for _, addresses in self.by_domain for address in addresses]


@dataclass(frozen=True)
class Measured:
    """The time that a row took, and for how many addresses it got an answer."""

    addresses: int
    seconds: float
    cpu_seconds: float


def domain_name(number: int) -> str:
    """The name of a domain."""
    return f"company{number}.test"


def mail_host(number: int) -> tuple[str, str]:
    """The name and address of a mail host."""
    return f"mx{number}.test", f"127.80.{number // 250}.{number % 250 + 1}"


# --- Ours ---------------------------------------------------------------------------------------------------


def engine(target: Target) -> int:
    """The whole engine: address in; syntax, DNS, RCPT, catch-all probe; verdict with evidence out.

    On uvloop and with rare garbage collections, as `growth verify` runs it.
    """
    collect_rarely()
    config = MailNetworkConfig(
        nameservers=(("127.0.0.1", target.dns_port),),
        smtp_port=target.smtp_port,
        allow_private=True,
        helo_name=HELO,
        mail_from=SENDER,
    )
    contacts = [Contact(position, email=email) for position, email in enumerate(target.addresses)]
    return uvloop.run(_verify(MailNetwork(config), Batch(contacts)))


async def _verify(network: MailNetwork, batch: Batch) -> int:
    results = [each async for each in EmailVerify().work(batch, network)]
    await network.close()
    return sum(
        isinstance(each, Outcome) and (each.evidence.reply or ReplyEvidence()).reply_code == 250 for each in results
    )


def bare_sessions(target: Target) -> int:
    """The floor of this design: pipelined sessions on asyncio streams, replies counted but not parsed."""

    async def session(addresses: Sequence[str]) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.smtp_port)
        await reader.readline()
        writer.write(f"EHLO {HELO}\r\n".encode())
        while (await reader.readline())[3:4] == b"-":
            pass
        recipients = "".join(f"RCPT TO:<{address}>\r\n" for address in addresses)
        writer.write(f"MAIL FROM:<{SENDER}>\r\n{recipients}QUIT\r\n".encode())
        replies = await reader.read(-1)
        writer.close()
        return replies.count(b"\n250 ")

    async def all_sessions() -> int:
        return sum(await asyncio.gather(*(session(addresses) for _, addresses in target.by_domain)))

    return asyncio.run(all_sessions())


# --- Python peers -------------------------------------------------------------------------------------------


def with_smtplib(target: Target) -> int:
    """The standard library's client, in threads: a conversation per address."""
    return _in_threads(lambda address: _probe_with_smtplib(target, [address]), target.addresses)


def with_aiosmtplib(target: Target) -> int:
    """The asyncio client, CONVERSATIONS at once: a conversation per address."""
    return _all_with_aiosmtplib(target, [[address] for address in target.addresses])


def with_aiosmtplib_by_domain(target: Target) -> int:
    """The same with a session per domain, as a verifier built on aiosmtplib could do it."""
    return _all_with_aiosmtplib(target, [addresses for _, addresses in target.by_domain])


def _probe_with_smtplib(target: Target, addresses: Sequence[str]) -> int:
    with smtplib.SMTP("127.0.0.1", target.smtp_port, local_hostname=HELO) as client:
        client.ehlo()
        client.mail(SENDER)
        return sum(client.rcpt(address)[0] == 250 for address in addresses)


def _all_with_aiosmtplib(target: Target, sessions: Sequence[Sequence[str]]) -> int:
    import aiosmtplib

    async def session(addresses: Sequence[str], limit: asyncio.Semaphore) -> int:
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1", port=target.smtp_port, local_hostname=HELO, start_tls=False, timeout=60
        )
        async with limit, client:
            await client.ehlo()
            await client.mail(SENDER)
            return sum([(await client.rcpt(address)).code == 250 for address in addresses])

    async def all_sessions() -> int:
        limit = asyncio.Semaphore(CONVERSATIONS)
        return sum(await asyncio.gather(*(session(addresses, limit) for addresses in sessions)))

    return asyncio.run(all_sessions())


def with_mailscout(target: Target) -> int:
    """The verifier mailscout: one call per address."""
    from mailscout import Scout

    scout = Scout()
    with _redirected(target), redirect_stdout(StringIO()):
        return _in_threads(lambda address: scout.check_smtp(address, target.smtp_port), target.addresses)


def with_py3_validate_email(target: Target) -> int:
    """The verifier py3-validate-email: one call per address; its blacklist, which it downloads, is off."""
    os.environ["PY3VE_IGNORE_UPDATER"] = "1"
    from validate_email import validate_email

    def check(address: str) -> bool:
        return bool(validate_email(address, check_blacklist=False, smtp_helo_host=HELO, smtp_from_address=SENDER))

    with _redirected(target):
        return _in_threads(check, target.addresses)


def _in_threads(check: Callable[[Any], int], addresses: Sequence[Any]) -> int:
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(check, addresses))


@contextmanager
def _redirected(target: Target) -> Iterator[None]:
    """Make dnspython use our name server, and smtplib connect to our port on loopback whatever the host."""
    import dns.resolver

    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], target.dns_port
    dns.resolver.default_resolver = resolver
    smtplib.SMTP.default_port = target.smtp_port
    connect = socket.create_connection
    socket.create_connection = lambda address, *args, **kwargs: connect(  # type: ignore[assignment]
        ("127.0.0.1", address[1]), *args, **kwargs
    )
    try:
        yield
    finally:
        socket.create_connection = connect


# --- Postfix ------------------------------------------------------------------------------------------------


def smtp_source(target: Target) -> int:
    """Postfix's load generator, in C: a message to one recipient in each session."""
    return _smtp_source(target, 1)


def smtp_source_50(target: Target) -> int:
    """The same with 50 recipients in each session."""
    return _smtp_source(target, 50)


def _smtp_source(target: Target, recipients: int) -> int:
    messages = target.domains * target.each // recipients
    subprocess.run(
        [
            *(postfix_program("smtp-source"), "-s", str(THREADS), "-m", str(messages), "-r", str(recipients)),
            *("-M", HELO, "-f", SENDER, "-t", "person@company.test", f"127.0.0.1:{target.smtp_port}"),
        ],
        check=True,
    )
    return messages * recipients


ROWS: dict[str, Callable[[Target], int]] = {
    "engine": engine,
    "smtplib, 50 threads": with_smtplib,
    "aiosmtplib, 200 conversations": with_aiosmtplib,
    "aiosmtplib, a session per domain": with_aiosmtplib_by_domain,
    "mailscout": with_mailscout,
    "py3-validate-email": with_py3_validate_email,
    "bare asyncio sessions of ten": bare_sessions,
    "smtp-source, 1 recipient": smtp_source,
    "smtp-source, 50 recipients": smtp_source_50,
}
PEERS = ("smtplib, 50 threads", "aiosmtplib, 200 conversations", "mailscout", "py3-validate-email")
NEEDS = {
    "aiosmtplib, 200 conversations": "aiosmtplib",
    "aiosmtplib, a session per domain": "aiosmtplib",
    "mailscout": "mailscout",
    "py3-validate-email": "validate_email",
}


def is_installed(row: str) -> bool:
    """Whether the library that a row measures is installed."""
    return row not in NEEDS or importlib.util.find_spec(NEEDS[row]) is not None


def measure(row: str, target: Target) -> Measured:
    """Run a row in a process of its own."""
    command = [sys.executable, __file__, row, json.dumps(asdict(target))]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(finished.stdout.splitlines()[-1]))


def main() -> None:
    """Measure once, warm: imports and first calls are not counted. Exits with an error if an address got no answer."""
    row, target = ROWS[sys.argv[1]], Target(**json.loads(sys.argv[2]))
    row(Target(target.smtp_port, target.dns_port, domains=1, each=50))
    started, cpu_started = time.perf_counter(), time.process_time()
    answered = row(target)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    if answered != target.domains * target.each:
        raise SystemExit(f"{sys.argv[1]}: only {answered} of {target.domains * target.each} addresses got an answer.")
    print(json.dumps(asdict(Measured(answered, seconds, cpu_seconds))))


if __name__ == "__main__":
    main()
