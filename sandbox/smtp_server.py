"""Mail hosts: SMTP servers (RFC 5321) that reply to RCPT and never accept a message."""
# ruff: noqa: N802 - aiosmtpd names hooks and methods after the commands

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import AnyStr, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from sandbox.connections import Connections
from sandbox.counts import Tally
from sandbox.dialects import dialect_named
from sandbox.domains import Behaviour, Domain
from sandbox.recipients import Greylist, MailboxStates, recipient_reply
from sandbox.truth import Mailbox


@dataclass(frozen=True, slots=True)
class MailWorld:
    """What all mail hosts share: mailboxes, greylist, counts and open connections."""

    mailboxes: MailboxStates
    greylist: Greylist
    tally: Tally
    slow_seconds: float
    connections: Connections


class MailHost:
    """One mail host: aiosmtpd calls its `handle_` hooks for each command, and sends what they return.

    If all domains of a host have the same behaviour, the host has it from the greeting on. Otherwise it greets like an
    ordinary host, and has the behaviour of the recipient's domain at RCPT.
    """

    def __init__(self, name: str, domains: Iterable[Domain], world: MailWorld) -> None:
        self.name = name
        self.world = world
        self.domains = {domain.name: domain for domain in domains}
        first = next(iter(self.domains.values()))
        self.dialect = dialect_named(first.dialect)
        alike = all(domain.behaviour is first.behaviour for domain in self.domains.values())
        self.behaviour = first.behaviour if alike else Behaviour.ORDINARY
        self.reply_seconds = world.slow_seconds * first.slowness if self.behaviour is Behaviour.SLOW else 0.0

    def new_connection(self) -> asyncio.Protocol:
        """Create the protocol of one connection."""
        return BlockedAtBanner(self) if self.behaviour is Behaviour.REFUSING_AT_BANNER else Conversation(self)

    def count(self, verb: str) -> None:
        self.world.tally.command(self.name, verb)

    async def handle_HELO(self, _server: SMTP, session: Session, _envelope: Envelope, client_name: str) -> str:
        self.count("HELO")
        session.host_name = client_name
        return f"250 {self.name}"

    async def handle_EHLO(
        self, _server: SMTP, session: Session, _envelope: Envelope, client_name: str, lines: list[str]
    ) -> list[str]:
        """Greet with all extensions as one reply."""
        self.count("EHLO")
        session.host_name = client_name
        extensions = []
        if self.behaviour is not Behaviour.NO_PIPELINING:
            extensions.append("250-PIPELINING")
        if self.dialect.enhanced_codes:
            extensions.append("250-ENHANCEDSTATUSCODES")
        return ["\r\n".join([lines[0], *extensions, *lines[1:]])]

    async def handle_MAIL(
        self, server: "Conversation", _session: Session, envelope: Envelope, sender: str, _options: list[str]
    ) -> str:
        self.count("MAIL")
        server.recipient_count = 0
        envelope.mail_from = sender
        return self.dialect.sender_ok

    async def handle_RCPT(
        self, server: "Conversation", session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Reply as the recipient's domain does."""
        self.count("RCPT")
        server.recipient_count += 1
        client = cast("tuple[str, int]", session.peer)[0]
        domain = self.domains.get(address.rpartition("@")[2].lower())
        if domain is None:
            template = self.dialect.relay_denied
        else:
            self.world.tally.recipient(domain.name)
            if domain.behaviour is Behaviour.SLOW and self.behaviour is not Behaviour.SLOW:
                await asyncio.sleep(self.world.slow_seconds * domain.slowness)
            template = self._template(domain, server.recipient_count, (client, str(envelope.mail_from), address))
        return template.format(
            address=address.encode("ascii", "replace").decode(),
            client=client,
            greylist_seconds=ceil(self.world.greylist.seconds),
        )

    def _template(self, domain: Domain, recipient_count: int, triple: tuple[str, str, str]) -> str:
        dialect = dialect_named(domain.dialect)
        if domain.behaviour is Behaviour.RECIPIENT_LIMIT and recipient_count > domain.recipient_limit:
            return dialect.too_many_recipients
        now = asyncio.get_running_loop().time()
        if domain.behaviour is Behaviour.GREYLISTING and not self.world.greylist.allows(triple, now):
            return dialect.greylisted
        local_part = triple[2].rpartition("@")[0].lower()
        return recipient_reply(domain, self.world.mailboxes[domain.name].get(local_part, Mailbox.NONE))

    async def handle_RSET(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:
        self.count("RSET")
        return self.dialect.reset

    async def handle_NOOP(self, _server: SMTP, _session: Session, _envelope: Envelope, _ignored: str) -> str:
        self.count("NOOP")
        return self.dialect.reset

    async def handle_QUIT(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:
        self.count("QUIT")
        return self.dialect.goodbye


class Conversation(SMTP):
    """One client's connection to a mail host."""

    def __init__(self, host: MailHost) -> None:
        super().__init__(
            host,
            hostname=host.name,
            ident=host.dialect.software,
            enable_SMTPUTF8=True,
            loop=asyncio.get_running_loop(),
        )
        self.recipient_count = 0
        self._host = host
        self._replies_due = 1  # the greeting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection = cast("asyncio.Transport", transport)
        self._host.world.connections.began(self._connection)
        self._host.world.tally.connection_opened(self._host.name)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._host.world.connections.ended(self._connection)
        self._host.world.tally.connection_closed(self._host.name)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Receive commands. Without PIPELINING (RFC 2920), hang up on a client that does not wait for replies."""
        self._replies_due += data.count(b"\n")
        if self._replies_due > 1 and self._host.behaviour is Behaviour.NO_PIPELINING:
            self._connection.write(b"554 SMTP synchronization error\r\n")
            self._connection.close()
        else:
            super().data_received(data)

    async def push(self, status: AnyStr) -> None:
        """Send a reply after the host's delay."""
        if self._host.reply_seconds:
            await asyncio.sleep(self._host.reply_seconds)
        self._replies_due -= 1
        await super().push(status)

    async def smtp_DATA(self, _argument: str) -> None:
        """Refuse the message, and count the command."""
        self._host.count("DATA")
        await self.push(self._host.dialect.data_refused)


class BlockedAtBanner(asyncio.Protocol):
    """One client's connection to a mail host that refuses it in its greeting."""

    def __init__(self, host: MailHost) -> None:
        self._host = host

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the refusal and hang up."""
        self._connection = cast("asyncio.Transport", transport)
        self._host.world.connections.began(self._connection)
        self._host.world.tally.connection_opened(self._host.name)
        client = transport.get_extra_info("peername")[0]
        self._connection.write(self._host.dialect.blocked.format(client=client).encode() + b"\r\n")
        self._connection.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._host.world.connections.ended(self._connection)
        self._host.world.tally.connection_closed(self._host.name)
