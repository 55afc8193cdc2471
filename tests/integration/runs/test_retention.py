"""Expiry by the sweeper process, also when it is killed meanwhile, and what clients of the API see afterwards."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from sqlalchemy import text

from cli.local.stack import Stack
from models.database import Database, idle_transaction_allowed
from pipeline.privacy.retention import BATCH
from tests.factories import count
from tests.faults.engine import wait_until as wait_for
from tests.growth_command import run_growth
from tests.integration.conftest import Client, Population, contacts_of
from tests.old_runs import OldRuns, all_rows, personal_in, rows_of

RUN = "/api/v1/growth/run"


@contextmanager
def sweeper(environment: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a sweeper process. It is killed if it still runs at the end."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.sweeper"],
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], bool], log: Path | None = None, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text() if log else "the condition was not met in time"
        time.sleep(0.05)


def is_expired(database: Database, run_id: object) -> bool:
    query = "SELECT count(*) FROM runs WHERE id = :id AND expired_at IS NOT NULL"
    with database.transaction() as session:
        return bool(count(session, query, id=run_id))


def contacts_left(database: Database) -> int:
    with database.transaction() as session:
        return count(session, "SELECT count(*) FROM contacts")


def test_a_second_sweeper_finishes_an_expiry_during_which_the_first_was_killed(
    database: Database, database_url: str, valkey_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    old_runs, log = OldRuns(database, redis_client, tmp_path / "exports"), tmp_path / "sweeper.log"
    environment = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url, "EXPORT_DIR": str(old_runs.exports)}
    run_id = old_runs.completed_run(count=2 * BATCH)

    with (
        database.transaction() as session,
        idle_transaction_allowed(session),
        sweeper(environment, log) as killed,
    ):
        session.execute(text("SELECT FROM contacts WHERE position = :last FOR UPDATE"), {"last": 2 * BATCH - 1})
        wait_until(lambda: contacts_left(database) <= BATCH, log)
        killed.kill()
        killed.wait()

    assert contacts_left(database) > 0
    assert not is_expired(database, run_id)
    with sweeper(environment, log) as next_one:
        wait_until(lambda: is_expired(database, run_id), log)
        next_one.terminate()
        assert next_one.wait(30) == 0
    assert personal_in(all_rows(database)) == []
    assert old_runs.files() == []


@pytest.fixture
def expire(stack: Stack, stack_database: Database, tmp_path: Path) -> Callable[[str], None]:
    """Let a run become ninety days older, and let the sweeper expire it."""

    def expire_run(run_id: str) -> None:
        with stack_database.transaction() as session:
            old = "UPDATE runs SET finished_at = finished_at - interval '91 days' WHERE id = :id"
            session.execute(text(old), {"id": run_id})
        log = tmp_path / "sweeper.log"
        with sweeper(stack.engine.environment, log):
            wait_until(lambda: is_expired(stack_database, run_id), log)

    return expire_run


def test_an_expired_run_still_answers_with_its_counts_and_nothing_else(
    client: Client, population: Population, stack: Stack, stack_database: Database, expire: Callable[[str], None]
) -> None:
    run_id = client.create(population.hundred, preview_rows=5)
    before = client.finished(run_id)

    expire(run_id)

    # A process of the API that does not hear of it in Redis learns it within a second.
    wait_for(lambda: "has expired" in client.api.read_run(run_id)["progress"]["message"], "the state", seconds=10)
    after = client.api.read_run(run_id)
    assert list(after) == list(before)
    for key in ("run_id", "status", "stage_status", "preview", "data_source_mix", "gap_report"):
        assert after[key] == before[key]
    assert (after["progress"]["percent"], after["result_handles"], after["export_handles"]) == (100, [], [])
    assert after["progress"]["message"].startswith("Run complete. Its data has expired")
    assert client.api.read_events(run_id)[-1]["kind"] == "expired"
    assert set(rows_of(stack_database, run_id)) == {"credit_ledger", "run_events", "run_stages"}
    assert not (Path(stack.engine.environment["EXPORT_DIR"]) / run_id).exists()


def test_an_expired_file_is_404_with_the_reason_for_its_account_only(
    client: Client, stranger: Client, population: Population, expire: Callable[[str], None]
) -> None:
    run_id = client.create(population.hundred[:3])
    handles = client.finished(run_id)["export_handles"]
    url = handles[0]["download_url"]
    assert client.http.get(url).status_code == 200

    expire(run_id)

    mine, theirs = client.http.get(url), stranger.http.get(url)
    assert (mine.status_code, theirs.status_code) == (404, 404)
    assert "has expired" in mine.json()["detail"]
    assert "expired" not in theirs.json()["detail"]


def test_the_command_prints_why_there_is_no_export(
    client: Client, population: Population, expire: Callable[[str], None]
) -> None:
    run_id = client.create(population.hundred[:3])
    client.finished(run_id)
    expire(run_id)
    access = {"GROWTH_API_URL": client.api.api_url, "GROWTH_API_KEY": client.account.api_key}

    done = run_growth("export", run_id, env={**os.environ, **access})

    assert done.returncode == 1
    assert "The data of this run has expired" in done.stderr


def test_an_expired_run_can_not_be_retried(
    client: Client, population: Population, expire: Callable[[str], None]
) -> None:
    run_id = client.create(population.crowd)
    client.api.cancel_run(run_id)
    wait_until(lambda: bool(client.api.read_run(run_id)["export_handles"]))
    expire(run_id)

    response = client.http.post(f"/api/v1/growth/runs/{run_id}/retry")

    assert response.status_code == 409
    assert "has expired" in response.json()["detail"]


def test_an_idempotency_key_still_gives_the_first_run_when_that_has_expired(
    client: Client, population: Population, expire: Callable[[str], None]
) -> None:
    people = contacts_of(population.hundred[:2])
    run_id = client.api.create_run(people, "full_pipeline", idempotency_key="order-1")
    client.finished(run_id)

    expire(run_id)

    assert client.api.create_run(people, "full_pipeline", idempotency_key="order-1") == run_id
