"""Streams of an account end with its key, keep their bound, and are no burden to others, whatever their readers do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
import redis
from fastapi import FastAPI
from sqlalchemy import text
from starlette.types import Message, Scope

from api import status as status_module
from api import streams as streams_module
from api.errors import AnswerInterrupted
from api.live import plain_reads as plain_reads_module
from api.live import running_live
from api.live import states as states_module
from api.live import watching as watching_module
from cli.accounts import NewAccount
from models.database import Database
from models.transitions import touch_run
from pipeline.runs import live_state
from pipeline.runs.live_state import LiveState
from tests.api_in_process import opened_api
from tests.factories import account, pending_run


class Reader:
    """A client that reads a path until it leaves. It takes no more bytes while `reads` is not set."""

    def __init__(self, app: FastAPI, path: str, key: str) -> None:
        self._app, self._path, self._key = app, path, key
        self._left = asyncio.Event()
        self._more = asyncio.Condition()
        self.reads = asyncio.Event()
        self.reads.set()
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.has_ended = False

    async def read(self) -> None:
        scope: Scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
            "scheme": "http", "path": self._path, "raw_path": self._path.encode(), "query_string": b"", "root_path": "",
            "headers": [(b"authorization", f"Bearer {self._key}".encode())], "client": None, "server": None,
        }  # fmt: skip
        await self._app(scope, self._receive, self._send)

    def leave(self) -> None:
        self._left.set()

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(10), self._more:
            await self._more.wait_for(lambda: text in self.body)

    async def until_the_end(self) -> None:
        async with asyncio.timeout(10), self._more:
            await self._more.wait_for(lambda: self.has_ended)

    async def _receive(self) -> Message:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        await self.reads.wait()
        async with self._more:
            self.status = message.get("status", self.status)
            self.headers.update(message.get("headers", ()))
            self.body += message.get("body", b"")
            self.has_ended = message["type"] == "http.response.body" and not message.get("more_body")
            self._more.notify_all()
        if self.has_ended:
            self._left.set()


Scene = Callable[[], Awaitable[None]]
NAME = "Grace Hopper"


@pytest.fixture
def app(database_url: str, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastAPI]:
    settings = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url, "EXPORT_DIR": str(tmp_path)}
    with opened_api(settings, monkeypatch) as opened:
        yield opened


@pytest.fixture
def owner(database: Database, redis_client: redis.Redis) -> NewAccount:
    redis_client.flushdb()
    return account(database)


@pytest.fixture
def run_id(database: Database, owner: NewAccount) -> UUID:
    return pending_run(database, account_id=owner.account_id)


def play(app: FastAPI, scene: Scene) -> None:
    async def played() -> None:
        async with running_live(app.state.resources) as app.state.live:
            await scene()

    asyncio.run(played())


@asynccontextmanager
async def reading(app: FastAPI, run_id: UUID, key: str, what: str = "/events") -> AsyncIterator[Reader]:
    """A client that reads a run's stream until the block ends."""
    reader = Reader(app, f"/api/v1/growth/runs/{run_id}{what}", key)
    task = asyncio.create_task(reader.read())
    try:
        yield reader
    finally:
        reader.leave()
        async with asyncio.timeout(10):
            await task


def changed(database: Database, run_id: UUID) -> LiveState:
    """Write a new state to the rows only."""
    with database.transaction() as session:
        return live_state.build(session, touch_run(session, run_id, 1))


def change(database: Database, server: redis.Redis, run_id: UUID) -> bytes:
    """Write a new state, as workers do. Returns it."""
    state = changed(database, run_id)
    live_state.store(server, state, live_seconds=30)
    return state.body.encode()


def revoke(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE api_keys SET revoked_at = now()"))


def test_an_account_has_so_many_streams_and_no_more_and_others_are_served(
    app: FastAPI, database: Database, owner: NewAccount, run_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_module, "most_watchers", lambda: 3)
    other = account(database)
    others_run = pending_run(database, account_id=other.account_id)

    async def scene() -> None:
        async with (
            reading(app, run_id, owner.api_key) as first,
            reading(app, run_id, owner.api_key) as second,
            reading(app, run_id, owner.api_key) as third,
        ):
            for each in (first, second, third):
                await each.until(b"event: state")
            for what in ("/events", ""):
                async with reading(app, run_id, owner.api_key, what) as one_more:
                    await one_more.until_the_end()
                    assert one_more.status == (429 if what else 200)
            async with reading(app, others_run, other.api_key) as others:
                await others.until(b"event: state")
                assert others.status == 200
        async with reading(app, run_id, owner.api_key) as again:
            await again.until(b"event: state")

    play(app, scene)


def test_a_reader_who_has_left_is_not_counted_any_more(app: FastAPI, owner: NewAccount, run_id: UUID) -> None:
    async def scene() -> None:
        async with reading(app, run_id, owner.api_key) as reader:
            await reader.until(b"event: state")
            assert app.state.live.watching.watchers_of(owner.account_id) == 1
        assert app.state.live.watching.watchers_of(owner.account_id) == 0

    play(app, scene)


def test_a_reader_who_never_reads_holds_up_nobody_and_gets_the_newest_state_when_it_does(
    app: FastAPI, database: Database, redis_client: redis.Redis, owner: NewAccount, run_id: UUID
) -> None:
    async def scene() -> None:
        async with reading(app, run_id, owner.api_key) as slow, reading(app, run_id, owner.api_key) as quick:
            await slow.until(b"event: state")
            slow.reads.clear()
            for _ in range(4):
                await quick.until(change(database, redis_client, run_id))
            slow.reads.set()
            newest = change(database, redis_client, run_id)
            await quick.until(newest)
            await slow.until(newest)
            assert slow.body.count(b"event: state") < quick.body.count(b"event: state")

    play(app, scene)


def test_a_stream_that_is_silent_says_from_time_to_time_that_it_is_there(
    app: FastAPI, owner: NewAccount, run_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "HEARTBEAT_EACH_S", 0.05)
    monkeypatch.setattr(streams_module, "CHECK_KEY_EACH_S", 0.05)

    async def scene() -> None:
        async with reading(app, run_id, owner.api_key) as reader:
            await reader.until(b": nothing new")

    play(app, scene)


def test_a_stream_whose_key_is_revoked_ends_and_says_why(
    app: FastAPI, database: Database, owner: NewAccount, run_id: UUID
) -> None:
    async def scene() -> None:
        async with reading(app, run_id, owner.api_key) as reader:
            await reader.until(b"event: state")
            await asyncio.to_thread(revoke, database)
            await reader.until_the_end()
            assert b"event: refused" in reader.body

    play(app, scene)


def test_without_redis_a_stream_tells_what_postgres_has(
    database: Database, database_url: str, tmp_path: Path, owner: NewAccount, run_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(watching_module, "LOOK_EACH_S", 0.05)
    monkeypatch.setattr(states_module, "CHECK_EACH_S", 0.05)
    settings = {"DATABASE_URL": database_url, "REDIS_URL": "redis://127.0.0.1:1/0", "EXPORT_DIR": str(tmp_path)}

    async def scene() -> None:
        async with reading(app, run_id, owner.api_key) as reader:
            await reader.until(b"event: state")
            await reader.until(changed(database, run_id).body.encode())

    with opened_api(settings, monkeypatch) as app:
        play(app, scene)


def test_a_stream_says_how_many_requests_are_left(app: FastAPI, owner: NewAccount, run_id: UUID) -> None:
    async def scene() -> None:
        async with reading(app, run_id, owner.api_key) as reader:
            await reader.until(b"event: state")
            assert reader.headers[b"content-type"] == b"text/event-stream; charset=utf-8"
            assert reader.headers[b"ratelimit"].startswith(b'"requests";r=')

    play(app, scene)


def test_the_text_of_a_fault_in_a_stream_is_neither_logged_nor_raised(
    app: FastAPI, owner: NewAccount, run_id: UUID, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        with pytest.raises(AnswerInterrupted, match=r"^ValueError$") as raised:
            await Reader(app, f"/api/v1/growth/runs/{run_id}/events", owner.api_key).read()
        assert raised.value.__suppress_context__

    monkeypatch.setattr(streams_module, "steps_after", fail)
    play(app, scene)
    assert "failed: ValueError" in caplog.text
    assert NAME not in caplog.text


def test_a_read_that_fails_beside_the_framework_is_answered_by_the_route_and_logged_without_its_text(
    app: FastAPI, owner: NewAccount, run_id: UUID, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with asyncio.timeout(20):
            # The first reads take the framework's way, which knows no such fault.
            while "failed: ValueError" not in caplog.text:
                reader = Reader(app, f"/api/v1/growth/runs/{run_id}", owner.api_key)
                await reader.read()
                assert str(run_id).encode() in reader.body
                await asyncio.sleep(0.01)

    monkeypatch.setattr(plain_reads_module, "headers_of", fail)
    play(app, scene)
    assert NAME not in caplog.text


def fail(*_: object) -> None:
    raise ValueError(NAME)


def test_a_fault_ends_a_stream_without_end_so_that_its_reader_comes_again(
    app: FastAPI, owner: NewAccount, run_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(streams_module, "steps_after", fail)

    async def scene() -> None:
        reader = Reader(app, f"/api/v1/growth/runs/{run_id}/events", owner.api_key)
        with pytest.raises(Exception, match="ZeroDivisionError"):
            await reader.read()
        assert reader.has_ended
        assert b"event: end" not in reader.body
        assert app.state.live.watching.watchers_of(owner.account_id) == 0

    play(app, scene)
