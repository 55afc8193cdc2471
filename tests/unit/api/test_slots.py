"""Changes of one account wait for each other; other accounts do not wait for them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.routing import APIRoute

from api import slots
from api.credits import credits_of_account
from api.erasures import erasures
from api.quotes import quotes
from api.runs import runs
from api.slots import SLOTS, cancel_slot, change_slot, list_slot, new_slots
from api.suppressions import suppressions


@pytest.fixture
def request_() -> Request:
    app = FastAPI()
    app.state.slots = new_slots()
    return Request({"type": "http", "app": app})


def acquire(request: Request, account_id: UUID) -> AsyncIterator[None]:
    return aiter(change_slot(request, account_id))


async def end(held: AsyncIterator[None]) -> None:
    with pytest.raises(StopAsyncIteration):
        await anext(held)


def test_an_account_waits_for_its_own_requests_only(request_: Request) -> None:
    async def scene() -> None:
        first, second = uuid4(), uuid4()
        held = [acquire(request_, first) for _ in range(SLOTS)]
        for each in held:
            await anext(each)
        waiting = asyncio.ensure_future(anext(acquire(request_, first)))
        await anext(acquire(request_, second))
        assert not waiting.done()

        await end(held[0])
        await waiting

    asyncio.run(scene())


@pytest.mark.parametrize("kind", [cancel_slot, list_slot])
def test_cancelling_and_listing_wait_for_their_own_kind_only(
    request_: Request, kind: Callable[[Request, UUID], AsyncIterator[None]]
) -> None:
    async def scene() -> None:
        account_id = uuid4()
        for earlier in (change_slot, kind):
            for _ in range(SLOTS):
                await anext(aiter(earlier(request_, account_id)))
        waiting = asyncio.ensure_future(anext(aiter(kind(request_, account_id))))
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()

    asyncio.run(scene())


def test_each_call_that_changes_something_takes_a_slot() -> None:
    calls = [
        route
        for router in (runs, quotes, credits_of_account, suppressions, erasures)
        for route in router.routes
        if isinstance(route, APIRoute)
    ]
    changing = [call for call in calls if call.methods - {"GET", "HEAD"}]

    assert len(changing) == 9
    for call in changing:
        assert {change_slot, cancel_slot} & {each.dependency for each in call.dependencies}, call.path


@pytest.mark.parametrize(
    ("router", "path"),
    [
        (runs, "/runs/{run_id}/timeline"),
        (suppressions, ""),
        (credits_of_account, ""),
        (credits_of_account, "/statement.csv"),
    ],
)
def test_what_may_read_thousands_of_rows_takes_a_slot(router: APIRouter, path: str) -> None:
    (call,) = [
        each
        for each in router.routes
        if isinstance(each, APIRoute) and (each.path, each.methods) == (router.prefix + path, {"GET"})
    ]

    assert list_slot in {each.dependency for each in call.dependencies}


def test_a_request_that_waits_too_long_is_refused_with_a_time_to_try_again(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "MAX_WAIT_S", 0)

    async def scene() -> None:
        account_id = uuid4()
        held = [acquire(request_, account_id) for _ in range(SLOTS)]
        for each in held:
            await anext(each)
        with pytest.raises(HTTPException) as refused:
            await anext(acquire(request_, account_id))
        assert refused.value.status_code == 429
        assert refused.value.headers == {"Retry-After": "5"}

        await end(held[0])
        await anext(acquire(request_, account_id))

    asyncio.run(scene())


def test_slots_of_an_account_without_requests_are_dropped(request_: Request) -> None:
    async def scene() -> None:
        held = acquire(request_, uuid4())
        await anext(held)
        assert len(request_.app.state.slots) == 1
        await end(held)

    asyncio.run(scene())
    assert len(request_.app.state.slots) == 0
