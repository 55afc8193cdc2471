"""A server on loopback that answers as a test says, and both clients to ask it with."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from growth_client import AsyncGrowthClient, GrowthClient, Retries

QUICK = Retries(seconds=0.2, first_pause=0.01, longest_pause=0.02)
Behaviour = Callable[["Handler"], None]


class HostileServer(ThreadingHTTPServer):
    """Keeps the paths and headers of the requests it gets."""

    daemon_threads = True

    def __init__(self, behave: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behave = behave
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.hung_up = threading.Event()
        """Set when a client closed its connection before it had read everything."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: HostileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        try:
            self.server.behave(self)
        except ConnectionError:
            self.server.hung_up.set()
            self.close_connection = True

    do_POST = do_HEAD = do_PATCH = do_GET  # noqa: N815 - as the library calls them

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        """Answer with a body; the names of headers have underscores for hyphens."""
        self.send_response(status)
        for name, value in ({"content_length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    def answer_without_end(self, status: int = 200, piece: bytes = b" " * (1 << 20), **headers: str) -> None:
        """Send the same bytes until the client hangs up."""
        self.send_response(status)
        for name, value in ({"transfer_encoding": "chunked"} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        while True:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def hostile(behave: Behaviour) -> Iterator[HostileServer]:
    """A server that does this with each request."""
    with HostileServer(behave) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask_blocking(url: str, method: str, *arguments: Any, **options: Any) -> Any:
    """Call a method of the client that blocks."""
    with GrowthClient(url, "growth_secret", retries=QUICK, **options) as growth:
        answer = getattr(growth, method)(*arguments)
        return list(answer) if hasattr(answer, "__next__") else answer


def ask_asyncio(url: str, method: str, *arguments: Any, **options: Any) -> Any:
    """Call a method of the client for asyncio."""

    async def ask() -> Any:
        async with AsyncGrowthClient(url, "growth_secret", retries=QUICK, **options) as growth:
            answer = getattr(growth, method)(*arguments)
            return await answer if asyncio.iscoroutine(answer) else [each async for each in answer]

    return asyncio.run(ask())
