"""Mail servers on loopback that offer STARTTLS, whose handshake may fail."""

import asyncio
import ssl
from dataclasses import dataclass, field
from functools import lru_cache

import trustme

from tests.unit.mail.servers.scripted_servers import Reply, mail_host

HELLO = b"250-host.test\r\n250-PIPELINING\r\n250 STARTTLS"
READY = b"220 2.0.0 Ready to start TLS\r\n"


@lru_cache(maxsize=1)
def server_tls() -> ssl.SSLContext:
    """A certificate by an unknown authority, for another name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("somebody-else.test").configure_cert(context)
    return context


@dataclass
class TlsHost:
    """A server that offers STARTTLS, and answers it with `ready`; then it shakes hands, or fails to.

    `inside` answers in the encrypted part. What was asked is in `clear` and `encrypted`.
    """

    ready: bytes = READY
    can_shake_hands: bool = True
    outside: Reply = field(default_factory=lambda: mail_host("grace", replies={"EHLO": HELLO}))
    inside: Reply = field(default_factory=lambda: mail_host("grace"))
    clear: list[str] = field(default_factory=list)
    encrypted: list[str] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command, reply, asked = "", self.outside, self.clear
        while True:
            if command == "STARTTLS":
                writer.write(self.ready)
                if self.ready.startswith(b"220"):
                    if not self.can_shake_hands:
                        await reader.read(1)
                        return
                    await writer.start_tls(server_tls())
                    reply, asked = self.inside, self.encrypted
            else:
                answer = reply(command)
                if answer is None:
                    return
                writer.write(answer + b"\r\n")
            await writer.drain()
            if command == "QUIT":
                return
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")
            asked.append(command)
