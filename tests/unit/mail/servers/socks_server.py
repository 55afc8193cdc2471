"""A real SOCKS5 proxy on loopback (RFC 1928, RFC 1929): CONNECT to IPv4 addresses, with a password or without."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

REACHED, FAILED, NOT_ALLOWED = 0, 5, 2


@dataclass
class SocksServer:
    """The hosts that a proxy was asked for; `credentials` are those it wants, `reply` is sent instead of connecting."""

    credentials: tuple[bytes, bytes] | None = None
    reply: int | None = None
    port: int = 0
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await self._admits(reader, writer):
                await self._connect(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left
        finally:
            writer.close()

    async def _admits(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        _, count = await reader.readexactly(2)
        offered = await reader.readexactly(count)
        wanted = 2 if self.credentials else 0
        writer.write(bytes([5, wanted if wanted in offered else 0xFF]))
        if wanted not in offered:
            return False
        if not self.credentials:
            return True
        await reader.readexactly(1)
        given = (
            await reader.readexactly((await reader.readexactly(1))[0]),
            await reader.readexactly((await reader.readexactly(1))[0]),
        )
        writer.write(bytes([1, given != self.credentials]))
        return given == self.credentials

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        *_, kind = await reader.readexactly(4)
        assert kind == 1, "an IPv4 address"
        ip = str(ipaddress.IPv4Address(await reader.readexactly(4)))
        port = int.from_bytes(await reader.readexactly(2))
        self.asked.append(ip)
        if self.reply is not None:
            writer.write(bytes([5, self.reply, 0, 1, 0, 0, 0, 0, 0, 0]))
            return
        far_reader, far_writer = await asyncio.open_connection(ip, port)
        writer.write(bytes([5, REACHED, 0, 1, 0, 0, 0, 0, 0, 0]))
        try:
            await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
        finally:
            far_writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def socks_server(
    credentials: tuple[bytes, bytes] | None = None, reply: int | None = None
) -> AsyncIterator[SocksServer]:
    """Run a proxy."""
    proxy = SocksServer(credentials, reply)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
