"""A request whose body stops arriving is ended, so that its slot becomes free again."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, Request

from api.bodies import BODY_S, SILENCE_S, read_body
from settings import Settings

PIECES = 5


class _Clock:
    """An event loop's time: it passes when the test says so, and a little with each look at it."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 0.01
        return self.now


def read(receive_with: Callable[[_Clock], Callable[[], Awaitable[dict[str, Any]]]]) -> bytes:
    clock = _Clock()

    def loop() -> asyncio.AbstractEventLoop:
        made = asyncio.new_event_loop()
        made.time = clock  # type: ignore[method-assign]
        return made

    app = FastAPI()
    app.state.resources = SimpleNamespace(settings=Settings())
    with asyncio.Runner(loop_factory=loop) as runner:
        scope = {"type": "http", "app": app, "headers": []}
        return runner.run(read_body(Request(scope, receive_with(clock))))


def steadily(clock: _Clock) -> Callable[[], Awaitable[dict[str, Any]]]:
    left = iter(range(PIECES))

    async def receive() -> dict[str, Any]:
        clock.now += SILENCE_S * 0.8
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"x", "more_body": next(left) < PIECES - 1}

    return receive


def silently(clock: _Clock) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        clock.now += SILENCE_S
        await asyncio.Event().wait()
        raise AssertionError

    return receive


def one_byte_at_a_time(clock: _Clock) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Never silent for long, and never ready."""

    async def receive() -> dict[str, Any]:
        clock.now += SILENCE_S * 0.8
        assert clock.now < BODY_S + 3 * SILENCE_S, "it is held for as long as the client likes"
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"x", "more_body": True}

    return receive


def cut(_clock: _Clock) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    return receive


def test_a_body_may_take_long_if_it_keeps_arriving() -> None:
    assert read(steadily) == b"x" * PIECES


@pytest.mark.parametrize(("coming", "status"), [(silently, 408), (one_byte_at_a_time, 408), (cut, 400)])
def test_a_body_that_stops_arriving_ends_its_request_with_a_sentence(
    coming: Callable[[_Clock], Callable[[], Awaitable[dict[str, Any]]]], status: int
) -> None:
    with pytest.raises(HTTPException, match="send the request again") as ended:
        read(coming)

    assert ended.value.status_code == status
