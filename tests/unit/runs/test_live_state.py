"""The Redis copy: guarded by version, private to its account, expiring, rebuilt from rows."""

import json

import redis

from models.database import Database
from models.queries import run_of_account
from models.run import Run
from models.transitions import touch_run
from pipeline.runs import live_state
from pipeline.runs.live_state import LiveState
from tests.factories import account, finish_chunk, found, leased_chunk, pending_run, started_run
from tests.live_copies import live_copy

KEYS = [
    "run_id",
    "status",
    "stage_status",
    "progress",
    "result_handles",
    "artifact_handles",
    "export_handles",
    "preview",
    "data_source_mix",
    "gap_report",
]


def build(database: Database, run_id: object) -> LiveState:
    with database.transaction() as session:
        return live_state.build(session, session.get_one(Run, run_id))


def test_the_ten_keys_are_always_there_in_their_order(database: Database) -> None:
    state = json.loads(build(database, pending_run(database)).body)

    assert list(state) == KEYS


def test_a_pending_run_shows_no_stage(database: Database) -> None:
    state = json.loads(build(database, pending_run(database)).body)

    assert (state["status"], state["stage_status"], state["progress"]["percent"]) == ("pending", {}, 0)


def test_a_running_run_shows_the_stages_that_have_started(database: Database) -> None:
    run_id = started_run(database, count=4, chunk_size=2)
    finish_chunk(database, leased_chunk(database, run_id), [found(0), found(1)])

    state = json.loads(build(database, run_id).body)

    assert state["stage_status"] == {"email_lookup": "running"}
    assert state["progress"]["percent"] == 30
    assert state["progress"]["stages"]["email_lookup"] == {"done": 2, "total": 4}


def with_version(state: LiveState, version: int) -> LiveState:
    return LiveState(state.run_id, state.account_id, version, finished=False, body=f'{{"version": {version}}}')


def fetched(redis_client: redis.Redis, database: Database, state: LiveState) -> str | None:
    with database.transaction() as session:
        return live_copy(redis_client, session.get_one(Run, state.run_id))


def test_a_copy_older_than_the_row_is_not_used(database: Database, redis_client: redis.Redis) -> None:
    state = build(database, pending_run(database))
    live_state.store(redis_client, state, live_seconds=30)
    assert fetched(redis_client, database, state) == state.body

    with database.transaction() as session:
        touch_run(session, state.run_id, 1)

    assert fetched(redis_client, database, state) is None


def test_an_older_state_never_replaces_a_newer_one(database: Database, redis_client: redis.Redis) -> None:
    state = build(database, pending_run(database))

    for version in (3, 9, 5):
        live_state.store(redis_client, with_version(state, version), live_seconds=30)

    assert fetched(redis_client, database, state) == '{"version": 9}'


def test_each_newer_state_is_announced_once(database: Database, redis_client: redis.Redis) -> None:
    state = build(database, pending_run(database))
    with redis_client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(live_state.channel(state.run_id))
        listener.get_message(timeout=1)

        for version in (1, 1, 2, 1):
            live_state.store(redis_client, with_version(state, version), live_seconds=30)

        published = [listener.get_message(timeout=1) for _ in range(2)]
        assert [int(note["data"]) for note in published if note] == [1, 2]
        assert listener.get_message(timeout=0.05) is None


def test_another_account_does_not_find_the_copy(database: Database, redis_client: redis.Redis) -> None:
    state = build(database, pending_run(database))
    live_state.store(redis_client, state, live_seconds=30)
    stranger = account(database)

    assert redis_client.keys(f"*{stranger.account_id}*") == []
    with database.transaction() as session:
        assert run_of_account(session, state.run_id, stranger.account_id) is None


def test_a_copy_that_is_not_renewed_expires(database: Database, redis_client: redis.Redis) -> None:
    state = build(database, pending_run(database))

    live_state.store(redis_client, state, live_seconds=5)

    (key,) = redis_client.keys("growth:run:*")
    assert 0 < redis_client.pttl(key) <= 5000
