"""Several servers on one port number, each at its own address or protocol."""

import errno
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

_ATTEMPTS = 50

OpenServers = Callable[[AsyncExitStack, int], Awaitable[None]]
"""Opens servers on a port, and pushes their closing onto the stack."""


async def open_on_one_port(servers: AsyncExitStack, port: int, open_servers: OpenServers) -> int:
    """Open all servers on one port, and return it. 0 means any port that is free for all of them.

    Raises OSError if the given port is in use, or an address can't be used.
    """
    for _ in range(_ATTEMPTS):
        candidate = port or _free_port()
        async with AsyncExitStack() as opened:
            try:
                await open_servers(opened, candidate)
            except OSError as error:
                if port or error.errno != errno.EADDRINUSE:
                    raise
                continue
            servers.push_async_callback(opened.pop_all().aclose)
            return candidate
    raise OSError(errno.EADDRINUSE, f"found no port that is free for every server in {_ATTEMPTS} attempts")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
