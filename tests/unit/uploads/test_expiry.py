"""Uploads that nobody needs are deleted, with all that they have; those of runs are kept as long as the runs' data."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import redis

from models.database import Database
from models.partitions import make_week, week_of
from pipeline.errors import UnknownUpload
from pipeline.runs import lifecycle
from pipeline.storage import open_storage
from pipeline.uploads import expiry
from pipeline.uploads.receiving import lock_upload
from settings import Settings
from tests.old_runs import clock_shows
from tests.unit.uploads.uploading import PEOPLE, ready, received, rows, run_from
from worker.sweeper.expire import Expirer, expire_due


@pytest.fixture
def expirer(database: Database, redis_client: redis.Redis, tmp_path: Path) -> Expirer:
    return Expirer(Settings(), database, redis_client, open_storage("", tmp_path), threading.Event())


def let_time_pass(database: Database) -> None:
    rows(database, "UPDATE uploads SET expires_at = now() - interval '1 second' RETURNING 1")


def left(database: Database) -> tuple[int, ...]:
    tables = ("uploads", "upload_pieces", "upload_rows")
    return tuple(rows(database, f"SELECT count(*) FROM {table}")[0][0] for table in tables)


def test_what_nobody_used_in_time_is_deleted(
    database: Database, owner: UUID, expirer: Expirer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "ROWS", 2)
    ready(database, owner)
    received(database, owner, size=10_000)
    let_time_pass(database)
    ready(database, owner)

    expire_due(expirer)

    assert left(database) == (1, 1, 4)


def test_an_upload_that_a_run_uses_is_kept_without_its_bytes(database: Database, owner: UUID, expirer: Expirer) -> None:
    run_from(database, owner, ready(database, owner))
    let_time_pass(database)

    expire_due(expirer)

    assert left(database) == (1, 0, 4)


def test_it_expires_with_the_data_of_its_last_run(database: Database, owner: UUID, expirer: Expirer) -> None:
    run_id = run_from(database, owner, ready(database, owner)).run_id
    with database.transaction() as session:
        lifecycle.cancel(session, owner, run_id)
    let_time_pass(database)
    rows(database, "UPDATE runs SET finished_at = now() - interval '91 days' RETURNING 1")

    expire_due(expirer)

    assert left(database) == (0, 0, 0)


def test_it_does_not_wait_with_the_rows_of_its_last_run(database: Database, owner: UUID, expirer: Expirer) -> None:
    made = datetime.now(UTC) - timedelta(days=100)
    with database.transaction() as session:
        assert make_week(session, week_of(made))
    with clock_shows(made):
        run_id = run_from(database, owner, ready(database, owner)).run_id
    with database.transaction() as session:
        lifecycle.cancel(session, owner, run_id)
    let_time_pass(database)
    rows(database, "UPDATE runs SET finished_at = now() - interval '99 days' RETURNING 1")

    expire_due(expirer)

    assert left(database) == (0, 0, 0)
    assert rows(database, "SELECT expired_at FROM runs") == [(None,)]


def test_one_that_is_just_being_read_or_used_is_left_alone(database: Database, owner: UUID, expirer: Expirer) -> None:
    upload_id = ready(database, owner)
    let_time_pass(database)
    with database.transaction() as reading:
        lock_upload(reading, owner, upload_id)
        expire_due(expirer)

    assert left(database) == (1, 1, 4)


def test_a_sweeper_that_stops_leaves_the_rest_to_the_next_one(
    database: Database, owner: UUID, expirer: Expirer
) -> None:
    upload_id = ready(database, owner)
    let_time_pass(database)
    expirer.stopping.set()
    expire_due(expirer)
    with pytest.raises(UnknownUpload), database.transaction() as session:
        lock_upload(session, owner, upload_id)
    assert left(database) == (1, 1, len(PEOPLE.splitlines()) - 1)

    expirer.stopping.clear()
    expire_due(expirer)

    assert left(database) == (0, 0, 0)
