"""The rows of `verify.py`: each is one way to verify all addresses, in a process of its own.

`python -m bench.contenders.verify_rows ROW TARGET` prints one line of JSON, as does `bench.peers.verifiers` by the
peers' Python. Every row probes the same addresses at the same servers; ours alone also sends one random probe per
domain.
"""

import asyncio
import json
import smtplib
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict

import uvloop

from bench.contenders.verify_target import HELO, SENDER, THREADS, Measured, Target, in_threads, measure_row
from bench.reporting.machine import ROOT, peers_python
from bench.servers.smtp_sink import postfix_program
from pipeline.contacts import Batch, Contact
from pipeline.evidence import ReplyEvidence
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.outcomes import Outcome
from pipeline.stages.email_verify import EmailVerify
from worker.garbage import collect_rarely


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


def with_smtplib(target: Target) -> int:
    """The standard library's client, in threads: a conversation per address."""
    return in_threads(lambda address: _probe_with_smtplib(target, [address]), target.addresses)


def _probe_with_smtplib(target: Target, addresses: Sequence[str]) -> int:
    with smtplib.SMTP("127.0.0.1", target.smtp_port, local_hostname=HELO) as client:
        client.ehlo()
        client.mail(SENDER)
        return sum(client.rcpt(address)[0] == 250 for address in addresses)


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


OURS = "Growth engine"
SMTP_SOURCE = "smtp-source, 1 recipient"
PEERS = ("smtplib, 50 threads", "aiosmtplib, 200 conversations", "mailscout", "py3-validate-email")
ROWS: dict[str, Callable[[Target], int]] = {
    OURS: engine,
    "smtplib, 50 threads": with_smtplib,
    "bare asyncio sessions of ten": bare_sessions,
    SMTP_SOURCE: smtp_source,
    "smtp-source, 50 recipients": smtp_source_50,
}
PEERS_ROWS = (
    "aiosmtplib, 200 conversations",
    "aiosmtplib, a session per domain",
    "mailscout",
    "py3-validate-email",
)
"""Those of `bench.peers.verifiers`."""


def measurable_rows() -> list[str]:
    """All rows, ours first; those of the peers only if their environment is installed."""
    return [*ROWS, *(PEERS_ROWS if peers_python() else ())]


def measure(row: str, target: Target) -> Measured:
    """Run a row in a process of its own."""
    python, module = (
        (sys.executable, "bench.contenders.verify_rows") if row in ROWS else (peers_python(), "bench.peers.verifiers")
    )
    command = [str(python), "-m", module, row, json.dumps(asdict(target))]
    finished = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(finished.stdout.splitlines()[-1]))


if __name__ == "__main__":
    measure_row(ROWS)
