"""A provider of addresses over HTTP on loopback, whose responses and failures a test scripts.

`GET /find?full_name=…&domain=…` answers in the shape that well-known providers use:
`{"data": {"email": …, "score": …}}`. It counts requests and charges by person.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

Person = tuple[str, str]
"""Full name and domain."""


class Provider:
    """A provider that has the addresses of some people. With `recognises_keys` it charges an `Idempotency-Key` once."""

    def __init__(
        self,
        addresses: Mapping[Person, str],
        *,
        api_key: str = "sandbox-key",
        recognises_keys: bool = False,
        charges_not_found: bool = True,
    ) -> None:
        self.addresses = dict(addresses)
        self.script: list[Callable[[_Request], None]] = []
        """The responses to the next requests, one each."""
        self.response: Callable[[_Request], None] = answers
        """The response to all requests after the script."""
        self.api_key = api_key
        self.recognises_keys = recognises_keys
        self.charges_not_found = charges_not_found
        self.charges: Counter[Person] = Counter()
        self.requests: Counter[Person] = Counter()
        self.at_once = self.most_at_once = 0
        self.changed = threading.Condition()
        """Guards the counts; notified of each request."""
        self.stopping = threading.Event()
        """Set at the end, to end requests that hang."""
        self._seen_keys: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/find"

    def wait_for_requests(self, count: int, seconds: float = 10) -> None:
        """Wait until `count` requests have arrived in all. Raises TimeoutError."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.requests.total() >= count, seconds):
                raise TimeoutError(f"{self.requests.total()} requests after {seconds} s, not {count}")

    def charge(self, person: Person, key: str | None) -> None:
        """Count a charge."""
        if self.recognises_keys and key:
            if key in self._seen_keys:
                return
            self._seen_keys.add(key)
        if self.charges_not_found or person in self.addresses:
            self.charges[person] += 1

    def begin(self, person: Person) -> Callable[["_Request"], None]:
        """Count a request, and return the response to it."""
        with self.changed:
            self.requests[person] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.changed.notify_all()
            return self.script.pop(0) if self.script else self.response

    def end(self) -> None:
        with self.changed:
            self.at_once -= 1

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type["_Request"]:
        return type("Handler", (_Request,), {"provider": self})


class _Request(BaseHTTPRequestHandler):
    """One request about one person."""

    protocol_version = "HTTP/1.1"
    provider: Provider

    def do_GET(self) -> None:
        """Respond as the provider's script says."""
        query = parse_qs(urlsplit(self.path).query)
        self.person = (query.get("full_name", [""])[0], query.get("domain", [""])[0])
        respond = self.provider.begin(self.person)
        self.in_work = True
        try:
            respond(self)
        except ConnectionError:
            self.close_connection = True  # the client no longer waits
        finally:
            self._end()

    def _end(self) -> None:
        """Count the request as ended, once, before the answer is sent: the next request may follow at once."""
        if self.in_work:
            self.in_work = False
            self.provider.end()

    def charge(self) -> None:
        """Charge for this request."""
        with self.provider.changed:
            self.provider.charge(self.person, self.headers.get("Idempotency-Key"))

    def respond_with(self, status: int, body: object, **headers: str) -> None:
        """Send an answer: JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._end()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(body, bytes) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Log nothing."""


Response = Callable[[_Request], None]


def answers(request: _Request) -> None:
    """Check the key, charge, and answer."""
    if request.headers.get("X-API-KEY") != request.provider.api_key:
        request.respond_with(401, {"errors": [{"id": "authentication_failed"}]})
        return
    request.charge()
    email = request.provider.addresses.get(request.person)
    request.respond_with(200, {"data": {"email": email, "score": 92 if email else None}})


def too_many(seconds: int | str) -> Response:
    """Answer 429 with Retry-After, and charge nothing."""
    return lambda request: request.respond_with(
        429, {"errors": [{"id": "too_many_requests"}]}, Retry_After=str(seconds)
    )


def status(code: int, error_id: str = "") -> Response:
    """Answer with a status and an error's id, and charge nothing."""
    return lambda request: request.respond_with(code, {"errors": [{"id": error_id}]})


def hangs(request: _Request) -> None:
    """Charge, and never answer."""
    request.charge()
    request.provider.stopping.wait()
    request.close_connection = True


def hangs_up(request: _Request) -> None:
    """Charge, and end the connection without an answer."""
    request.charge()
    request.close_connection = True


def html(request: _Request) -> None:
    """Charge, and answer with HTML instead of JSON."""
    request.charge()
    request.respond_with(200, b"<!doctype html><title>We are being improved</title>")


def endless(request: _Request) -> None:
    """Charge, and answer with two megabytes."""
    request.charge()
    request.respond_with(200, b"[" + b"0," * 1_000_000 + b"0]")


def redirects(to: str) -> Response:
    """Redirect to another URL, and charge nothing."""
    return lambda request: request.respond_with(302, {}, Location=to)


def waits_for(event: threading.Event, then: Response = answers) -> Response:
    """Answer once the event is set."""

    def respond(request: _Request) -> None:
        event.wait()
        then(request)

    return respond
