"""Expiry that is interrupted, blocked, or done by several sweepers at once still ends as it should."""

import logging
import threading
from uuid import UUID

import pytest
import redis

from models.database import open_database
from pipeline.errors import RunStateConflict
from pipeline.privacy.retention import BATCH
from pipeline.runs.retry import retry_run
from tests.factories import count, owner_of
from tests.old_runs import DoomedDatabase, Killed, OldRuns, OvertakenDatabase, all_rows, personal_in, rows_of
from worker.sweeper.expire import expire_due

CONTACTS = 2 * BATCH + 1
TRANSACTIONS = ["find", "retract", "first batch", "second batch", "third batch", "note"]
RETRACT = TRANSACTIONS.index("retract")
"""From its commit on clients get nothing of the run's data, and are told why."""


class RolledBack(Exception):
    """Ends a transaction that is only a trial."""


def retried_rows(old_runs: OldRuns, run_id: UUID) -> dict[str, int] | None:
    """How many rows a retry would get now; None if a retry is refused."""
    try:
        with old_runs.database.transaction() as session:
            new_id = retry_run(session, owner_of(old_runs.database, run_id), run_id).run_id
            rows = {
                table: count(session, f"SELECT count(*) FROM {table} WHERE run_id = :id", id=new_id)
                for table in ("contacts", "outcomes")
            }
            raise RolledBack
    except RolledBack:
        return rows
    except RunStateConflict:
        return None


@pytest.mark.parametrize("moment", ["before", "inside", "after"])
@pytest.mark.parametrize("at", range(len(TRANSACTIONS)), ids=TRANSACTIONS)
def test_a_sweeper_killed_at_any_point_leaves_no_half_run_and_the_next_one_ends_it(
    old_runs: OldRuns, at: int, moment: str
) -> None:
    run_id = old_runs.stopped_run("cancelled", CONTACTS)
    whole = {"contacts": CONTACTS, "outcomes": CONTACTS}

    with pytest.raises(Killed):
        expire_due(old_runs.expirer(DoomedDatabase(old_runs.database, at, moment)))

    state, is_retracted = old_runs.state(run_id), (at, moment) == (RETRACT, "after") or at > RETRACT
    assert retried_rows(old_runs, run_id) == (whole if state["export_handles"] else None)
    assert bool(state["export_handles"]) == (not is_retracted)
    assert ("expired" in state["progress"]["message"]) == is_retracted
    assert expire_due(old_runs.expirer())
    assert personal_in(all_rows(old_runs.database)) == []
    assert old_runs.files() == []
    with old_runs.database.transaction() as session:
        assert count(session, "SELECT count(*) FROM run_events WHERE kind = 'expired'") == 1


def test_a_sweeper_that_has_to_stop_does_so_after_the_step_in_hand(old_runs: OldRuns) -> None:
    run_id = old_runs.stopped_run("cancelled", CONTACTS)
    expirer = old_runs.expirer()
    expirer.stopping.set()

    expire_due(expirer)

    assert rows_of(old_runs.database, run_id)["contacts"] == CONTACTS


def test_several_sweepers_at_once_expire_each_run_once(old_runs: OldRuns, database_url: str) -> None:
    run_ids = [old_runs.completed_run() for _ in range(6)] + [old_runs.stopped_run("cancelled", CONTACTS)]
    databases = [open_database(database_url, pool_size=1) for _ in range(3)]
    went_well: list[bool] = []
    threads = [
        threading.Thread(target=lambda own=own: went_well.append(expire_due(old_runs.expirer(own))))
        for own in databases
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own in databases:
        own.close()

    assert went_well == [True] * 3
    assert old_runs.files() == []
    assert personal_in(all_rows(old_runs.database)) == []
    with old_runs.database.transaction() as session:
        assert count(session, "SELECT count(*) FROM run_events WHERE kind = 'expired'") == len(run_ids)


def test_a_run_that_another_sweeper_has_just_expired_is_left_as_it_is(old_runs: OldRuns) -> None:
    run_id = old_runs.completed_run()
    states: list[object] = []

    def another_expires_it() -> None:
        expire_due(old_runs.expirer())
        states.append(old_runs.state(run_id))

    expire_due(old_runs.expirer(OvertakenDatabase(old_runs.database, another_expires_it)))

    assert [old_runs.state(run_id)] == states


def test_a_run_whose_files_can_not_be_deleted_keeps_all_it_has_and_the_others_expire(
    old_runs: OldRuns, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, other = old_runs.completed_run(days_ago=92), old_runs.completed_run(days_ago=91)
    in_the_way = old_runs.exports / str(stuck) / "a-directory"
    in_the_way.mkdir()
    rows = rows_of(old_runs.database, stuck)

    assert not expire_due(old_runs.expirer())

    assert str(stuck) in caplog.text
    assert str(other) not in caplog.text
    assert rows_of(old_runs.database, stuck) == rows
    assert "contacts" not in rows_of(old_runs.database, other)

    in_the_way.rmdir()
    assert expire_due(old_runs.expirer())
    assert "contacts" not in rows_of(old_runs.database, stuck)


def test_without_the_export_directory_nothing_is_deleted(old_runs: OldRuns, caplog: pytest.LogCaptureFixture) -> None:
    run_id = old_runs.completed_run()
    away = old_runs.exports.rename(old_runs.exports.with_name("not mounted"))

    assert not expire_due(old_runs.expirer())

    assert "EXPORT_DIR is no directory here" in caplog.text
    assert rows_of(old_runs.database, run_id)["contacts"] == 3
    away.rename(old_runs.exports)
    assert expire_due(old_runs.expirer())


def test_export_files_that_are_missing_are_reported_in_the_log(
    old_runs: OldRuns, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = old_runs.completed_run()
    old_runs.exports.rename(old_runs.exports.with_name("elsewhere"))
    old_runs.exports.mkdir()

    with caplog.at_level(logging.WARNING):
        assert expire_due(old_runs.expirer())

    assert f"run {run_id}: no export files in {old_runs.exports}" in caplog.text


def test_while_redis_is_away_a_run_is_retracted_and_the_rest_waits(old_runs: OldRuns) -> None:
    run_id = old_runs.completed_run(count=BATCH)
    away_redis = redis.Redis(host="127.0.0.1", port=9, socket_connect_timeout=1)

    assert not expire_due(old_runs.expirer(server=away_redis))

    assert rows_of(old_runs.database, run_id)["contacts"] == BATCH
    assert old_runs.state(run_id)["result_handles"] == []
    assert expire_due(old_runs.expirer())
    assert "contacts" not in rows_of(old_runs.database, run_id)
