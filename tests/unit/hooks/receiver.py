"""A receiver of hooks: a real HTTP server, which keeps what it gets and answers as a test wants."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    headers: Mapping[str, str]
    body: bytes
    path: str

    def verified(self, secret: str | bytes) -> dict[str, Any]:
        """The body, if the library's own verifier accepts its signature."""
        body: dict[str, Any] = Webhook(secret).verify(self.body, dict(self.headers))
        return body

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Behaviour = Callable[["Handler"], None]


class Receiver(ThreadingHTTPServer):
    """Counts how many requests it has at once, at most."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[Received] = []
        self.behave: Behaviour = accept
        self.most_at_once = 0
        self.at_once = 0
        self.lock = threading.Lock()
        self.hanging = threading.Event()
        """Set when the test is over: what hangs ends then."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/growth?token=t0ken"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


class Handler(BaseHTTPRequestHandler):
    """Keeps the request, then does what the test says."""

    server: Receiver
    protocol_version = "HTTP/1.1"
    body = b""

    def do_POST(self) -> None:
        self.body = body = self.rfile.read(int(self.headers["content-length"]))
        with self.server.lock:
            self.server.received.append(Received(dict(self.headers.items()), body, self.path))
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        try:
            self.server.behave(self)
        finally:
            with self.server.lock:
                self.server.at_once -= 1

    def do_GET(self) -> None:
        self.do_POST()

    def answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Tests are quiet."""


def accept(handler: Handler) -> None:
    handler.answer(204)


def refuse(handler: Handler) -> None:
    handler.answer(500)


def hang(handler: Handler) -> None:
    handler.close_connection = True
    handler.server.hanging.wait(60)


def answering(status: int, **headers: str) -> Behaviour:
    return lambda handler: handler.answer(status, **headers)


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield receiver
    receiver.hanging.set()
    receiver.shutdown()
    receiver.server_close()
    thread.join()
