"""A provider of addresses over HTTP, on loopback: it answers, misbehaves and charges as it is told.

`GET /find?full_name=…&domain=…` answers in the shape of the well-known ones: `{"data": {"email": …, "score": …}}`. What
it does with the next requests is a list of moods; when that is used up it is well. It keeps the only book that counts:
what was charged, and how often for whom.
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
    """Knows the addresses of some people. `recognises_keys`: the same `Idempotency-Key` is charged once."""

    def __init__(
        self,
        addresses: Mapping[Person, str],
        *,
        api_key: str = "sandbox-key",
        recognises_keys: bool = False,
        charges_not_found: bool = True,
    ) -> None:
        self.addresses = dict(addresses)
        self.moods: list[Callable[[_Request], None]] = []
        """What happens to the next requests, one each."""
        self.mood: Callable[[_Request], None] = well
        """What happens to all others."""
        self.api_key = api_key
        self.recognises_keys = recognises_keys
        self.charges_not_found = charges_not_found
        self.charges: Counter[Person] = Counter()
        self.requests: Counter[Person] = Counter()
        self.at_once = self.most_at_once = 0
        self.asked = threading.Condition()
        """Notified at each request."""
        self.let_go = threading.Event()
        """Ends all hanging."""
        self._seen_keys: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/find"

    def wait_for_requests(self, count: int, seconds: float = 10) -> None:
        """Wait until it was asked so often in all. Raises TimeoutError."""
        with self.asked:
            if not self.asked.wait_for(lambda: self.requests.total() >= count, seconds):
                raise TimeoutError(f"{self.requests.total()} requests after {seconds} s, not {count}")

    def charge(self, person: Person, key: str | None) -> None:
        """Put a look-up on the bill."""
        if self.recognises_keys and key:
            if key in self._seen_keys:
                return
            self._seen_keys.add(key)
        if self.charges_not_found or person in self.addresses:
            self.charges[person] += 1

    def begin(self, person: Person) -> Callable[["_Request"], None]:
        """Note a request; what is to happen to it."""
        with self.asked:
            self.requests[person] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.asked.notify_all()
            return self.moods.pop(0) if self.moods else self.mood

    def end(self) -> None:
        """A request is over."""
        with self.asked:
            self.at_once -= 1

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type["_Request"]:
        return type("Handler", (_Request,), {"provider": self})


class _Request(BaseHTTPRequestHandler):
    """One request about one person."""

    protocol_version = "HTTP/1.1"
    provider: Provider

    def do_GET(self) -> None:
        """Do what the provider's mood says."""
        query = parse_qs(urlsplit(self.path).query)
        self.person = (query.get("full_name", [""])[0], query.get("domain", [""])[0])
        mood = self.provider.begin(self.person)
        self.in_work = True
        try:
            mood(self)
        except ConnectionError:
            self.close_connection = True  # whoever asked does not wait any more
        finally:
            self._end()

    def _end(self) -> None:
        """The work is done: once, and before the answer is out, for then the next request may come."""
        if self.in_work:
            self.in_work = False
            self.provider.end()

    def charge(self) -> None:
        """Put this look-up on the bill."""
        with self.provider.asked:
            self.provider.charge(self.person, self.headers.get("Idempotency-Key"))

    def say(self, status: int, body: object, **headers: str) -> None:
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
        """Say nothing."""


Mood = Callable[[_Request], None]


def well(request: _Request) -> None:
    """Charge, and answer."""
    if request.headers.get("X-API-KEY") != request.provider.api_key:
        request.say(401, {"errors": [{"id": "authentication_failed"}]})
        return
    request.charge()
    email = request.provider.addresses.get(request.person)
    request.say(200, {"data": {"email": email, "score": 92 if email else None}})


def too_many(seconds: int | str) -> Mood:
    """Ask for patience, and charge nothing."""
    return lambda request: request.say(429, {"errors": [{"id": "too_many_requests"}]}, Retry_After=str(seconds))


def status(code: int, word: str = "") -> Mood:
    """Answer with a status and an error's word, and charge nothing."""
    return lambda request: request.say(code, {"errors": [{"id": word}]})


def hangs(request: _Request) -> None:
    """Charge, and never answer."""
    request.charge()
    request.provider.let_go.wait()
    request.close_connection = True


def hangs_up(request: _Request) -> None:
    """Charge, and end the connection without an answer."""
    request.charge()
    request.close_connection = True


def html(request: _Request) -> None:
    """Charge, and answer with a page for people."""
    request.charge()
    request.say(200, b"<!doctype html><title>We are being improved</title>")


def endless(request: _Request) -> None:
    """Charge, and send more than anybody wants to read."""
    request.charge()
    request.say(200, b"[" + b"0," * 1_000_000 + b"0]")


def redirects(to: str) -> Mood:
    """Send elsewhere whoever asks, keys and all."""
    return lambda request: request.say(302, {}, Location=to)


def waits_for(event: threading.Event, then: Mood = well) -> Mood:
    """Answer once something has happened."""

    def mood(request: _Request) -> None:
        event.wait()
        then(request)

    return mood
