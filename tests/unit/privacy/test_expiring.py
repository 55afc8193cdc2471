"""Expiry that is cut short, hindered, or done by several at once: it ends well all the same."""

import logging
import threading
from pathlib import Path
from uuid import UUID

import pytest
import redis

from models.database import Database, open_database
from pipeline.errors import RunStateConflict
from pipeline.privacy.retention import BATCH
from pipeline.runs.retry import retry_run
from tests.factories import count
from tests.unit.runs.old_runs import DoomedDatabase, House, Killed, OvertakenDatabase, all_rows, personal_in, rows_of
from worker.sweeper.expire import expire_due

CONTACTS = 2 * BATCH + 1
TRANSACTIONS = ["find", "retract", "first batch", "second batch", "third batch", "note"]


@pytest.fixture
def house(database: Database, redis_client: redis.Redis, tmp_path: Path) -> House:
    return House(database, redis_client, tmp_path / "exports")


class RolledBack(Exception):
    """A look at what would be, without doing it."""


def retried_rows(house: House, run_id: UUID) -> dict[str, int] | None:
    """What a retry would have been given just now; none when it is refused."""
    try:
        with house.database.transaction() as session:
            new_id = retry_run(session, house.owner(run_id), run_id).run_id
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
    house: House, at: int, moment: str
) -> None:
    run_id = house.stopped_run("cancelled", CONTACTS)
    whole = {"contacts": CONTACTS, "outcomes": CONTACTS}

    with pytest.raises(Killed):
        expire_due(house.expirer(DoomedDatabase(house.database, at, moment)))

    state, is_noted = house.state(run_id), (at, moment) == (len(TRANSACTIONS) - 1, "after")
    assert retried_rows(house, run_id) == (whole if state["export_handles"] else None)
    assert ("expired" in state["progress"]["message"]) == is_noted
    assert expire_due(house.expirer())
    assert personal_in(all_rows(house.database)) == []
    assert house.files() == []
    with house.database.transaction() as session:
        assert count(session, "SELECT count(*) FROM run_events WHERE kind = 'expired'") == 1


def test_a_sweeper_that_is_told_to_stop_does_so_after_the_step_in_hand(house: House) -> None:
    run_id = house.stopped_run("cancelled", CONTACTS)
    expirer = house.expirer()
    expirer.stopping.set()

    expire_due(expirer)

    assert rows_of(house.database, run_id)["contacts"] == CONTACTS


def test_several_sweepers_at_once_expire_each_run_once(house: House, database_url: str) -> None:
    run_ids = [house.completed_run() for _ in range(6)] + [house.stopped_run("cancelled", CONTACTS)]
    databases = [open_database(database_url, pool_size=1) for _ in range(3)]
    went_well: list[bool] = []
    threads = [
        threading.Thread(target=lambda own=own: went_well.append(expire_due(house.expirer(own)))) for own in databases
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own in databases:
        own.close()

    assert went_well == [True] * 3
    assert house.files() == []
    assert personal_in(all_rows(house.database)) == []
    with house.database.transaction() as session:
        assert count(session, "SELECT count(*) FROM run_events WHERE kind = 'expired'") == len(run_ids)


def test_a_run_that_another_sweeper_has_just_expired_is_left_as_it_is(house: House) -> None:
    run_id = house.completed_run()
    states: list[object] = []

    def another_expires_it() -> None:
        expire_due(house.expirer())
        states.append(house.state(run_id))

    expire_due(house.expirer(OvertakenDatabase(house.database, another_expires_it)))

    assert [house.state(run_id)] == states


def test_a_run_whose_files_can_not_be_deleted_keeps_all_it_has_and_the_others_expire(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, other = house.completed_run(days_ago=92), house.completed_run(days_ago=91)
    in_the_way = house.exports / str(stuck) / "a-directory"
    in_the_way.mkdir()
    rows = rows_of(house.database, stuck)

    assert not expire_due(house.expirer())

    assert str(stuck) in caplog.text
    assert str(other) not in caplog.text
    assert rows_of(house.database, stuck) == rows
    assert "contacts" not in rows_of(house.database, other)

    in_the_way.rmdir()
    assert expire_due(house.expirer())
    assert "contacts" not in rows_of(house.database, stuck)


def test_without_the_export_directory_nothing_is_deleted(house: House, caplog: pytest.LogCaptureFixture) -> None:
    run_id = house.completed_run()
    away = house.exports.rename(house.exports.with_name("not mounted"))

    assert not expire_due(house.expirer())

    assert "EXPORT_DIR is no directory here" in caplog.text
    assert rows_of(house.database, run_id)["contacts"] == 3
    away.rename(house.exports)
    assert expire_due(house.expirer())


def test_files_that_are_not_there_are_asked_for_in_the_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    run_id = house.completed_run()
    house.exports.rename(house.exports.with_name("elsewhere"))
    house.exports.mkdir()

    with caplog.at_level(logging.WARNING):
        assert expire_due(house.expirer())

    assert f"run {run_id}: no export files in {house.exports}" in caplog.text


def test_while_redis_is_away_a_run_is_retracted_and_the_rest_waits(house: House) -> None:
    run_id = house.completed_run(count=BATCH)
    nobody = redis.Redis(host="127.0.0.1", port=9, socket_connect_timeout=1)

    assert not expire_due(house.expirer(server=nobody))

    assert rows_of(house.database, run_id)["contacts"] == BATCH
    assert house.state(run_id)["result_handles"] == []
    assert expire_due(house.expirer())
    assert "contacts" not in rows_of(house.database, run_id)
