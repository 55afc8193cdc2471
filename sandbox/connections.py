"""Who is connected to any of the servers, and how a server ends without leaving anybody connected."""

import asyncio


class Connections:
    """The open connections of all servers on one event loop."""

    def __init__(self) -> None:
        self._open: set[asyncio.Transport] = set()

    def began(self, transport: asyncio.Transport) -> None:
        """A client is connected."""
        self._open.add(transport)

    def ended(self, transport: asyncio.Transport) -> None:
        """A connection is gone, whatever the cause."""
        self._open.discard(transport)

    async def hang_up(self) -> None:
        """End all connections; to be called when all servers are closed."""
        await _one_turn()  # who was accepted last begins now
        for transport in tuple(self._open):
            transport.abort()
        await _one_turn()  # and ends now


async def close_server(server: asyncio.Server) -> None:
    """Close a server; whoever it has accepted stays connected.

    asyncio drops a client without closing its socket if the server closes between accepting it and beginning
    to talk to it. So accepting ends first.
    """
    for listener in server.sockets:
        server.get_loop().remove_reader(listener.fileno())
    await _one_turn()
    server.close()


async def _one_turn() -> None:
    """Let the event loop do what is due already."""
    await asyncio.sleep(0)
