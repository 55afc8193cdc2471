"""The open connections of all servers, and how a server closes without leaving a client connected."""

import asyncio


class Connections:
    """The open connections of all servers on one event loop."""

    def __init__(self) -> None:
        self._open: set[asyncio.Transport] = set()

    def began(self, transport: asyncio.Transport) -> None:
        self._open.add(transport)

    def ended(self, transport: asyncio.Transport) -> None:
        self._open.discard(transport)

    async def hang_up(self) -> None:
        """Abort all connections. Call it after all servers are closed."""
        await _one_turn()  # a client accepted just before calls `began` now
        for transport in tuple(self._open):
            transport.abort()
        await _one_turn()  # the transports call `ended` now


async def close_server(server: asyncio.Server) -> None:
    """Close a server, but not the connections that it has accepted.

    If a server closes after it accepted a client and before it called the client's protocol, asyncio drops the client
    without closing its socket. So this stops accepting first.
    """
    for listener in server.sockets:
        server.get_loop().remove_reader(listener.fileno())
    await _one_turn()
    server.close()


async def _one_turn() -> None:
    """Let the event loop run the callbacks that are already scheduled."""
    await asyncio.sleep(0)
