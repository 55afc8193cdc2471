"""A state is read without a statement, is never older than one seen before, and is there without Redis, too."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import redis
from sqlalchemy import event, text

from api.live import Live, running_live
from api.live import states as states_module
from api.live import watching as watching_module
from api.live.accounts import RENEW_S, SERVED_S
from api.resources import Resources, open_resources
from models.database import Database
from models.run import Run
from models.transitions import touch_run
from pipeline.errors import UnknownRun
from pipeline.runs import live_state
from pipeline.runs.live_state import key_of
from settings import Settings
from tests.factories import account, owner_of, pending_run

Scene = Callable[[Live], Awaitable[None]]


@pytest.fixture
def resources(database_url: str, valkey_url: str, tmp_path: Path) -> Iterator[Resources]:
    settings = {"database_url": database_url, "redis_url": valkey_url, "export_dir": tmp_path}
    opened = open_resources(Settings.model_validate(settings), connections=2)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _empty(redis_client: redis.Redis) -> None:
    redis_client.flushdb()


def play(resources: Resources, scene: Scene) -> None:
    """Play a scene while a process reads states."""

    async def played() -> None:
        async with running_live(resources) as live:
            await scene(live)

    asyncio.run(played())


@contextmanager
def statements(resources: Resources) -> Iterator[list[str]]:
    """The statements that are sent until the block ends."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(resources.database.engine, "before_cursor_execute", note)
    yield sent
    event.remove(resources.database.engine, "before_cursor_execute", note)


def store(database: Database, server: redis.Redis, run_id: UUID) -> int:
    """Store a run's live copy, as workers do. Returns its version."""
    with database.transaction() as session:
        state = live_state.build(session, session.get_one(Run, run_id))
    live_state.store(server, state, live_seconds=30)
    return state.version


def test_a_run_that_is_read_again_and_again_costs_no_statement(
    resources: Resources, database: Database, redis_client: redis.Redis
) -> None:
    owner = account(database)
    run_id = pending_run(database, account_id=owner.account_id)
    store(database, redis_client, run_id)

    async def scene(live: Live) -> None:
        await live.accounts.of_key(owner.api_key)
        await live.states.read(owner.account_id, run_id)
        with statements(resources) as sent:
            for _ in range(100):
                assert await live.accounts.of_key(owner.api_key) == (owner.account_id, "active", False)
                await live.states.read(owner.account_id, run_id)
        assert sent == []

    play(resources, scene)


def test_a_hundred_readers_at_once_ask_redis_a_few_times(
    resources: Resources, database: Database, redis_client: redis.Redis
) -> None:
    run_id = pending_run(database)
    owner = owner_of(database, run_id)
    store(database, redis_client, run_id)

    async def scene(live: Live) -> None:
        await live.states.read(owner, run_id)
        redis_client.config_resetstat()
        counted = await asyncio.gather(*(live.batches.count(owner) for _ in range(100)))
        await asyncio.gather(*(live.states.read(owner, run_id) for _ in range(100)))
        assert sorted(each.number for each in counted) == list(range(1, 101))
        stats = redis_client.info("commandstats")
        assert isinstance(stats, dict)
        assert stats["cmdstat_incrby"]["calls"] <= 2
        assert stats["cmdstat_hmget"]["calls"] <= 2

    play(resources, scene)


def test_an_old_copy_that_redis_came_back_with_is_not_shown(
    resources: Resources, database: Database, redis_client: redis.Redis
) -> None:
    run_id = pending_run(database)
    owner = owner_of(database, run_id)
    store(database, redis_client, run_id)
    old = redis_client.dump(key_of(owner, run_id))

    async def scene(live: Live) -> None:
        with database.transaction() as session:
            newer = touch_run(session, run_id, 1).version
        store(database, redis_client, run_id)
        assert (await live.states.read(owner, run_id)).version == newer

        redis_client.restore(key_of(owner, run_id), 30_000, old, replace=True)
        assert (await live.states.read(owner, run_id)).version == newer

    play(resources, scene)


def test_what_other_processes_wrote_while_redis_lost_it_is_found_within_seconds(
    resources: Resources, database: Database, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states_module, "CHECK_EACH_S", 0.05)
    run_id = pending_run(database)
    owner = owner_of(database, run_id)
    store(database, redis_client, run_id)

    async def scene(live: Live) -> None:
        before = (await live.states.read(owner, run_id)).version
        with database.transaction() as session:
            touch_run(session, run_id, 1)
        async with asyncio.timeout(5):
            while True:
                if (await live.states.read(owner, run_id)).version > before:
                    break
                await asyncio.sleep(0.01)

    play(resources, scene)


def test_readers_without_redis_get_what_the_rows_say(database: Database, database_url: str, tmp_path: Path) -> None:
    run_id = pending_run(database)
    settings = {"database_url": database_url, "redis_url": "redis://127.0.0.1:1/0", "export_dir": tmp_path}
    without = open_resources(Settings.model_validate(settings), connections=2)

    async def scene(live: Live) -> None:
        state = await live.states.read(owner_of(database, run_id), run_id)
        assert str(run_id).encode() in state.body
        with pytest.raises(redis.RedisError):
            await live.batches.count(uuid4())

    play(without, scene)
    without.close()


def test_many_readers_of_a_run_without_a_copy_share_one_look_at_its_rows(
    resources: Resources, database: Database
) -> None:
    run_id = pending_run(database)
    owner = owner_of(database, run_id)

    async def scene(live: Live) -> None:
        await live.states.read(owner, run_id)
        async with asyncio.timeout(10):
            while True:
                # The first reader's copy is put into Redis when it has been answered.
                if resources.redis.delete(key_of(owner, run_id)):
                    break
                await asyncio.sleep(0.01)
        with statements(resources) as sent:
            await asyncio.gather(*(live.states.read(owner, run_id) for _ in range(50)))
        assert len([each for each in sent if "FROM run_stages" in each]) == 1

    play(resources, scene)


def test_another_accounts_run_is_unknown_however_often_it_is_read(
    resources: Resources, database: Database, redis_client: redis.Redis
) -> None:
    run_id = pending_run(database)
    stranger = account(database).account_id
    store(database, redis_client, run_id)

    async def scene(live: Live) -> None:
        await live.states.read(owner_of(database, run_id), run_id)
        for _ in range(2):
            with pytest.raises(UnknownRun):
                await live.states.read(stranger, run_id)

    play(resources, scene)


def test_a_key_that_is_revoked_is_served_no_longer_than_two_seconds(resources: Resources, database: Database) -> None:
    owner = account(database)

    async def scene(live: Live) -> None:
        assert await live.accounts.of_key(owner.api_key)
        with database.transaction() as session:
            session.execute(text("UPDATE api_keys SET revoked_at = now()"))
        clock = asyncio.get_running_loop().time
        revoked_at = clock()
        async with asyncio.timeout(SERVED_S + 1):
            while True:
                if await live.accounts.of_key(owner.api_key) is None:
                    break
                await asyncio.sleep(0.02)
        assert clock() - revoked_at <= SERVED_S

    play(resources, scene)
    assert RENEW_S < SERVED_S


def test_readers_with_the_same_new_key_share_one_look_at_it(resources: Resources, database: Database) -> None:
    owner = account(database)

    async def scene(live: Live) -> None:
        with statements(resources) as sent:
            found = await asyncio.gather(*(live.accounts.of_key(owner.api_key) for _ in range(50)))
        assert {each.id for each in found if each} == {owner.account_id}
        assert len(sent) == 1

    play(resources, scene)


def test_who_watches_a_run_is_shown_what_redis_announces(
    resources: Resources, database: Database, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_module, "LOOK_EACH_S", 60)
    runs = [pending_run(database) for _ in range(3)]

    async def scene(live: Live) -> None:
        with ExitStack() as watched:
            feeds = [watched.enter_context(live.watching.feed(owner_of(database, each), each)) for each in runs]
            versions = [(await feed.newer_than(-1)).version for feed in feeds]
            for _ in range(3):
                for place, (run_id, feed) in enumerate(zip(runs, feeds, strict=True)):
                    with database.transaction() as session:
                        touch_run(session, run_id, 1)
                    version = store(database, redis_client, run_id)
                    async with asyncio.timeout(10):
                        assert (await feed.newer_than(versions[place])).version == version
                    versions[place] = version

    play(resources, scene)


def test_what_is_not_announced_is_seen_all_the_same(
    resources: Resources, database: Database, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching_module, "LOOK_EACH_S", 0.05)
    monkeypatch.setattr(states_module, "CHECK_EACH_S", 0.05)
    run_id = pending_run(database)

    async def scene(live: Live) -> None:
        with live.watching.feed(owner_of(database, run_id), run_id) as feed:
            before = await feed.newer_than(-1)
            with database.transaction() as session:
                touch_run(session, run_id, 1)
            redis_client.flushdb()
            async with asyncio.timeout(10):
                assert (await feed.newer_than(before.version)).version > before.version

    play(resources, scene)


def test_a_run_that_nobody_watches_any_more_is_read_no_more(
    resources: Resources, database: Database, redis_client: redis.Redis
) -> None:
    run_id = pending_run(database)
    owner = owner_of(database, run_id)

    async def scene(live: Live) -> None:
        with live.watching.feed(owner, run_id) as one, live.watching.feed(owner, run_id) as other:
            assert one is other
            await one.newer_than(-1)
            assert live.watching.watchers_of(owner) == 2
            async with asyncio.timeout(10):
                while True:
                    if redis_client.pubsub_numsub(live_state.channel(run_id))[0][1] == 1:
                        break
                    await asyncio.sleep(0.01)
        assert live.watching.watchers_of(owner) == 0
        async with asyncio.timeout(10):
            while True:
                if redis_client.pubsub_numsub(live_state.channel(run_id))[0][1] == 0:
                    break
                await asyncio.sleep(0.01)

    play(resources, scene)
