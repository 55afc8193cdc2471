"""Asks a server over HTTP as fast as it answers, or at a given rate, from a process of its own.

`python -m bench.contenders.load HOST PORT KEY CONNECTIONS SECONDS RATE PATH ...` prints one line of JSON: requests per
second, and the median, 99th percentile and highest of the times of answers. RATE 0 is as fast as possible. With a rate,
a request that had to wait for its turn has waited since it was due: a server that falls behind can't hide it.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import cast

import uvloop


class Connection(asyncio.Protocol):
    """A connection that is kept. It sends a request and waits for its whole answer."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._answered: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found or self._answered is None:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self._answered.set_exception(RuntimeError(bytes(head[:80]).decode()))
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) >= length:
            self._received.clear()
            self._answered.set_result(None)

    async def ask(self, request: bytes) -> None:
        assert self._transport is not None  # noqa: S101 - it is connected
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        await self._answered


async def ask_on(connection: Connection, requests: Iterator[bytes], due: Iterator[float], until: float) -> list[float]:
    """Send requests when they are due, until it is time to end. Returns the seconds that each took."""
    taken = []
    while (at := next(due)) < until:
        if (early := at - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        elif not at:
            at = time.perf_counter()
            if at >= until:
                break
        await connection.ask(next(requests))
        taken.append(time.perf_counter() - at)
    return taken


async def measure(
    host: str, port: int, key: str, connections: int, seconds: float, rate: float, paths: list[str]
) -> dict[str, float]:
    """Ask for the paths in turn."""
    loop = asyncio.get_running_loop()
    opened = [(await loop.create_connection(Connection, host, port))[1] for _ in range(connections)]
    requests = itertools.cycle(
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n".encode() for path in paths
    )
    for connection in opened:
        await connection.ask(next(requests))
    began = time.perf_counter()
    due: Iterator[float] = (began + number / rate for number in itertools.count()) if rate else itertools.repeat(0.0)
    taken = await asyncio.gather(*(ask_on(each, requests, due, began + seconds) for each in opened))
    times = sorted(itertools.chain.from_iterable(taken))
    return {
        "requests_per_s": len(times) / (time.perf_counter() - began),
        "median_ms": 1000 * times[len(times) // 2],
        "p99_ms": 1000 * times[len(times) * 99 // 100],
        "highest_ms": 1000 * times[-1],
    }


if __name__ == "__main__":
    given = sys.argv[1:]
    figures = measure(given[0], int(given[1]), given[2], int(given[3]), float(given[4]), float(given[5]), given[6:])
    print(json.dumps(uvloop.run(figures)))
