"""Visitors of the page: plain HTTP clients that behave like a browser."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import httpx
import pytest

from cli.local.stack import Stack
from models.database import Database
from tests.integration.conftest import Client, Population, waiting_runs
from tests.integration.web.browser import Open, running_browser

ADDRESSES = itertools.count(1)
HTML = {"Accept": "text/html,application/xhtml+xml"}


class Fragment(NamedTuple):
    """An event of a live page."""

    kind: str
    data: str
    id: str | None


class Visitor:
    """A browser without scripts: it keeps cookies, and says with each form where it comes from."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    @property
    def token(self) -> str:
        """What its cookie holds."""
        return next((value for name, value in self.http.cookies.items() if "growth_session" in name), "")

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    def post(self, path: str, form: Mapping[str, str] | None = None, **headers: str) -> httpx.Response:
        origin = {"Origin": str(self.http.base_url).rstrip("/")}
        return self.http.post(path, data=dict(form or {"-": ""}), headers=origin | headers)

    def sign_in(self, key: str, target: str = "") -> httpx.Response:
        return self.post("/login", {"key": key, "next": target})

    def live(self, path: str, last_event_id: str = "") -> Iterator[Fragment]:
        """The events of a live page, as they come."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        with self.http.stream("GET", path, headers=headers, timeout=30) as response:
            assert response.status_code == 200
            fields: dict[str, list[str]] = {}
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if line:
                    fields.setdefault(name, []).append(value)
                    continue
                if "event" in fields:
                    yield Fragment(fields["event"][0], "\n".join(fields["data"]), fields.get("id", [None])[0])
                fields = {}


@pytest.fixture
def visit(stack: Stack) -> Iterator[Callable[[], Visitor]]:
    """Opens browsers. Each has an address of its own, so that they do not share the limit of sign-ins."""
    with ExitStack() as opened:

        def browser() -> Visitor:
            number = next(ADDRESSES)
            headers = HTML | {"X-Forwarded-For": f"192.0.{2 + number // 250}.{number % 250 + 1}"}
            http = httpx.Client(base_url=stack.credentials.api_url, headers=headers, trust_env=False, timeout=20)
            return Visitor(opened.enter_context(http))

        yield browser


@pytest.fixture
def visitor(visit: Callable[[], Visitor], client: Client) -> Visitor:
    """A browser that has signed in to the client's account."""
    browser = visit()
    assert browser.sign_in(client.account.api_key).status_code == 303
    return browser


@pytest.fixture
def finished_run(client: Client, population: Population) -> str:
    run_id = client.create(population.hundred[:40])
    client.finished(run_id)
    return run_id


@pytest.fixture
def waiting_run(client: Client, stack_database: Database) -> str:
    return waiting_runs(client, stack_database, 1)[0]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def open_page(chromium: Any, stack: Stack) -> Iterator[Open]:
    """Opens a page of a new browser window. An error of its scripts or its policy fails the test."""
    contexts, problems = [], []

    def note(message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            problems.append(message.text)

    def opened(path: str, *, loses_connections: bool = False) -> Any:
        context = chromium.new_context(base_url=stack.credentials.api_url, viewport={"width": 1280, "height": 900})
        contexts.append(context)
        context.set_default_timeout(60_000)
        page = context.new_page()
        if not loses_connections:
            page.on("console", note)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []
