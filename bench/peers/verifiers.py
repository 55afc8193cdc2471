"""Other ways to verify addresses, in Python: rows of `bench/verify.py`, in the peers' environment.

aiosmtplib is an SMTP client only: it connects to the given server and looks up nothing. The verifiers are called as
their documentation says, from 50 threads, and use the same small name server as ours. `_redirected` leads them to mail
hosts under .test and to another port than 25.
"""

import asyncio
import os
import smtplib
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO

from bench.contenders.verify_target import CONVERSATIONS, HELO, SENDER, Target, in_threads, measure_row


def with_aiosmtplib(target: Target) -> int:
    """The asyncio client, CONVERSATIONS at once: a conversation per address."""
    return _all_with_aiosmtplib(target, [[address] for address in target.addresses])


def with_aiosmtplib_by_domain(target: Target) -> int:
    """The same with a session per domain, as a verifier built on aiosmtplib could do it."""
    return _all_with_aiosmtplib(target, [addresses for _, addresses in target.by_domain])


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
        return in_threads(lambda address: scout.check_smtp(address, target.smtp_port), target.addresses)


def with_py3_validate_email(target: Target) -> int:
    """The verifier py3-validate-email: one call per address; its blacklist, which it downloads, is off."""
    os.environ["PY3VE_IGNORE_UPDATER"] = "1"
    from validate_email import validate_email

    def check(address: str) -> bool:
        return bool(validate_email(address, check_blacklist=False, smtp_helo_host=HELO, smtp_from_address=SENDER))

    with _redirected(target):
        return in_threads(check, target.addresses)


@contextmanager
def _redirected(target: Target) -> Iterator[None]:
    """Make dnspython use our name server, and smtplib connect to our port on loopback whatever the host."""
    import dns.resolver

    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], target.dns_port
    dns.resolver.default_resolver = resolver
    smtplib.SMTP.default_port = target.smtp_port
    connect = socket.create_connection
    socket.create_connection = lambda address, *args, **kwargs: connect(("127.0.0.1", address[1]), *args, **kwargs)
    try:
        yield
    finally:
        socket.create_connection = connect


ROWS: dict[str, Callable[[Target], int]] = {
    "aiosmtplib, 200 conversations": with_aiosmtplib,
    "aiosmtplib, a session per domain": with_aiosmtplib_by_domain,
    "mailscout": with_mailscout,
    "py3-validate-email": with_py3_validate_email,
}

if __name__ == "__main__":
    measure_row(ROWS)
