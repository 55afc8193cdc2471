"""A network that can fail: a loopback port that relays to a server, and can hold up or reset its connections."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from tests.faults.loops import running_loop

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of 0: closing sends RST instead of FIN."""


class Relay:
    """A relay to one server. Its methods may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connect: Connect) -> None:
        self._loop, self._connect = loop, connect
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._conversations: set[asyncio.Future[None]] = set()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), loop).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    def hold(self) -> None:
        """Hold up all data without losing any, as when packets are dropped and sent again."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def release(self) -> None:
        """Pass data again, first what was held up."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def reset(self) -> None:
        """Reset all connections. New ones are accepted."""
        self._loop.call_soon_threadsafe(self._reset)

    def _reset(self) -> None:
        for client in self._clients:
            client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            client.transport.abort()

    def close(self) -> None:
        """Stop listening and close all connections."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _close(self) -> None:
        self._server.close()
        conversations = list(self._conversations)
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.ensure_future(self._converse(reader, writer))
        self._clients.add(writer)
        self._conversations.add(conversation)
        await asyncio.wait({conversation})
        self._clients.discard(writer)
        self._conversations.discard(conversation)
        writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        try:
            upstream_reader, upstream_writer = await self._connect()
        except OSError:
            # The server is down: the client sees its connection end.
            return
        try:
            await asyncio.gather(self._pump(reader, upstream_writer), self._pump(upstream_reader, writer))
        finally:
            upstream_writer.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
        sink.close()


@contextmanager
def running_relays(*servers: Connect) -> Iterator[list[Relay]]:
    """A relay to each server until the block ends."""
    with running_loop("relays") as loop:
        relays = [Relay(loop, connect) for connect in servers]
        yield relays
        for relay in relays:
            relay.close()


def to_port(port: int) -> Connect:
    """To a server on a port of loopback."""
    return lambda: asyncio.open_connection("127.0.0.1", port)


def to_socket(path: str) -> Connect:
    """To a server on a Unix socket."""
    return lambda: asyncio.open_unix_connection(path)
