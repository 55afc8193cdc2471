"""Changes of one account wait for each other; nobody else waits for them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.routing import APIRoute

from api import access
from api.access import AT_ONCE, take_turn, take_turn_to_cancel, take_turn_to_list
from api.erasures import erasures
from api.runs import runs
from api.suppressions import suppressions


@pytest.fixture
def request_() -> Request:
    app = FastAPI()
    app.state.turns = WeakValueDictionary()
    return Request({"type": "http", "app": app})


def turn(request: Request, account_id: UUID) -> AsyncIterator[None]:
    return aiter(take_turn(request, account_id))


async def end(taken: AsyncIterator[None]) -> None:
    with pytest.raises(StopAsyncIteration):
        await anext(taken)


def test_one_account_waits_for_itself_and_another_does_not(request_: Request) -> None:
    async def scene() -> None:
        first, second = uuid4(), uuid4()
        taken = [turn(request_, first) for _ in range(AT_ONCE)]
        for each in taken:
            await anext(each)
        waiting = asyncio.ensure_future(anext(turn(request_, first)))
        await anext(turn(request_, second))
        assert not waiting.done()

        await end(taken[0])
        await waiting

    asyncio.run(scene())


@pytest.mark.parametrize("take", [take_turn_to_cancel, take_turn_to_list])
def test_cancelling_and_listing_wait_for_their_own_kind_only(
    request_: Request, take: Callable[[Request, UUID], AsyncIterator[None]]
) -> None:
    async def scene() -> None:
        account_id = uuid4()
        for earlier in (take_turn, take):
            for _ in range(AT_ONCE):
                await anext(aiter(earlier(request_, account_id)))
        waiting = asyncio.ensure_future(anext(aiter(take(request_, account_id))))
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()

    asyncio.run(scene())


def test_each_call_that_changes_something_takes_a_turn() -> None:
    calls = [
        route for router in (runs, suppressions, erasures) for route in router.routes if isinstance(route, APIRoute)
    ]
    changing = [call for call in calls if call.methods - {"GET", "HEAD"}]

    assert len(changing) == 7
    for call in changing:
        assert {take_turn, take_turn_to_cancel} & {each.dependency for each in call.dependencies}, call.path


@pytest.mark.parametrize(("router", "path"), [(runs, "/runs/{run_id}/events"), (suppressions, "")])
def test_what_may_read_thousands_of_rows_takes_a_turn(router: APIRouter, path: str) -> None:
    (call,) = [
        each
        for each in router.routes
        if isinstance(each, APIRoute) and (each.path, each.methods) == (router.prefix + path, {"GET"})
    ]

    assert take_turn_to_list in {each.dependency for each in call.dependencies}


def test_who_waits_too_long_is_told_when_to_come_back(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "LONGEST_WAIT_S", 0)

    async def scene() -> None:
        account_id = uuid4()
        taken = [turn(request_, account_id) for _ in range(AT_ONCE)]
        for each in taken:
            await anext(each)
        with pytest.raises(HTTPException) as refused:
            await anext(turn(request_, account_id))
        assert refused.value.status_code == 429
        assert refused.value.headers == {"Retry-After": "5"}

        await end(taken[0])
        await anext(turn(request_, account_id))

    asyncio.run(scene())


def test_nothing_is_kept_of_accounts_that_have_nothing_in_work(request_: Request) -> None:
    async def scene() -> None:
        taken = turn(request_, uuid4())
        await anext(taken)
        assert len(request_.app.state.turns) == 1
        await end(taken)

    asyncio.run(scene())
    assert len(request_.app.state.turns) == 0
