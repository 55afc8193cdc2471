"""What a hostile or broken server answers is one of the client's errors, in bounded memory and time. Both clients."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from growth_client import GrowthClient, NotAnEngine, Unavailable
from tests.unit.client.hostile_server import Handler, ask_asyncio, ask_blocking, hostile

STATE = {"run_id": "r", "status": "completed", "progress": {"percent": 100, "message": ""}}
Ask = Callable[..., Any]


@pytest.fixture(params=[ask_blocking, ask_asyncio], ids=["blocking", "asyncio"])
def ask(request: pytest.FixtureRequest) -> Ask:
    asked: Ask = request.param
    return asked


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_an_answer_without_an_end_is_not_read_to_its_end(ask: Ask) -> None:
    with hostile(lambda request: request.answer_without_end()) as server:
        with pytest.raises(NotAnEngine, match="more than an answer"):
            ask(server.url, "state", "r")
        assert server.hung_up.wait(10)


def test_an_error_without_an_end_is_an_error_without_a_reason(ask: Ask) -> None:
    with hostile(lambda request: request.answer_without_end(500)) as server:
        with pytest.raises(Unavailable, match="500 without a reason"):
            ask(server.url, "state", "r")
        with pytest.raises(Unavailable, match="500 without a reason"):
            ask(server.url, "events", "r")
        assert server.hung_up.wait(10)


@pytest.mark.parametrize("method", ["state", "events"])
def test_an_answer_that_is_packed_is_not_unpacked(ask: Ask, method: str) -> None:
    packed = gzip.compress(as_bytes(STATE))

    with hostile(lambda request: request.answer(packed, content_encoding="gzip")) as server:
        with pytest.raises(NotAnEngine, match="packs its answers"):
            ask(server.url, method, "r")
        assert {headers["accept-encoding"] for _, headers in server.requests} == {"identity"}


def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones(ask: Ask) -> None:
    def behave(request: Handler) -> None:
        params = httpx.URL(request.path).params
        if int(params["limit"]) > 300:
            request.answer_without_end()
        elif params["after"]:
            request.answer(as_bytes({"results": [{"row": 2}], "next": None}))
        else:
            request.answer(as_bytes({"results": [{"row": 1}], "next": "0"}))

    with hostile(behave) as server:
        assert ask(server.url, "results", "r") == [{"row": 1}, {"row": 2}]
        assert [httpx.URL(path).params["limit"] for path, _ in server.requests] == ["1000", "250", "250"]


def test_a_body_that_the_callers_own_client_has_read_is_taken_as_it_is() -> None:
    def packed(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=gzip.compress(as_bytes(STATE)), headers={"content-encoding": "gzip"})

    with httpx.Client(transport=httpx.MockTransport(packed)) as http:
        assert GrowthClient("http://engine.test", "growth_secret", http=http).state("r") == STATE
