"""The messages that the sweeper process sends to a broker, and how often."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
import redis
from sqlalchemy import text

from cli.local.processes import sweeper_command
from models.database import Database
from pipeline.runs import lifecycle
from tests.factories import count, pending_run
from tests.faults.engine import wait_until
from worker.broker import QUEUE
from worker.dispatch import IN_TURN
from worker.sweeper.broker_marker import KEY


@pytest.fixture
def broker_url(valkey_url: str) -> str:
    return f"{valkey_url.rpartition('/')[0]}/5"


@pytest.fixture
def broker(broker_url: str) -> Iterator[redis.Redis]:
    """Empty, without the broker marker."""
    with redis.Redis.from_url(broker_url) as client:
        client.flushdb()
        yield client


@pytest.fixture
def sweeper(
    database_url: str, valkey_url: str, broker_url: str, broker: redis.Redis, project_root: Path
) -> Iterator[None]:
    assert not broker.exists(KEY)
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "BROKER_URL": broker_url,
        "SWEEP_SECONDS": "0.1",
    }
    with subprocess.Popen([sys.executable, "-m", *sweeper_command()], cwd=project_root, env=environment) as process:
        yield
        process.terminate()


def change(database: Database, statement: str, run_id: UUID) -> None:
    with database.transaction() as session:
        session.execute(text(statement), {"id": run_id})


def times_sent(database: Database, run_id: UUID) -> int:
    with database.transaction() as session:
        return count(session, "SELECT count(*) FROM run_events WHERE kind = 'resent' AND run_id = :id", id=run_id)


def test_runs_that_a_broker_lost_are_sent_again_once(database: Database, broker: redis.Redis, sweeper: None) -> None:
    lost = pending_run(database)
    change(database, "UPDATE runs SET resend_at = now() + interval '1 hour' WHERE id = :id", lost)
    wait_until(lambda: times_sent(database, lost) == 1 and bool(broker.exists(KEY)), "the broker marker", seconds=30)

    later = pending_run(database)
    change(database, "UPDATE runs SET resend_at = now() WHERE id = :id", later)
    wait_until(lambda: times_sent(database, later) == 1, "a later sweep", seconds=30)

    assert times_sent(database, lost) == 1


def test_missing_exports_of_a_cancelled_run_are_requested(
    database: Database, broker: redis.Redis, sweeper: None
) -> None:
    run_id = pending_run(database)
    with database.transaction() as session:
        account_id = session.execute(text("SELECT account_id FROM runs")).scalar_one()
        lifecycle.cancel(session, account_id, run_id)
    statement = "UPDATE runs SET finished_at = now() - interval '1 minute', resend_at = now() WHERE id = :id"
    change(database, statement, run_id)

    in_turn = f"{QUEUE}\x06\x16{IN_TURN}"
    wait_until(lambda: bool(broker.llen(in_turn)), "a message", seconds=30)

    message = json.loads(str(broker.lindex(in_turn, 0), "utf-8"))
    assert message["headers"]["task"] == "growth.export"
    assert str(run_id) in message["headers"]["argsrepr"]
