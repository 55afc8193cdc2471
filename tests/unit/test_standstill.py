"""The sweeper's finders: runs that stand still, those that take too long, and all of them when the broker forgot."""

from uuid import UUID

import pytest
from sqlalchemy import text

from models.database import Database
from models.transitions import RunError
from pipeline import runs, standstill
from tests.factories import claimed_chunk, expired_chunk, pending_run, started_run


def make_due(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE runs SET resend_at = now() - interval '1 second'"))


def find(database: Database) -> list[UUID]:
    with database.transaction() as session:
        return [stalled.run_id for stalled in standstill.find_stalled(session)]


def test_a_run_whose_chain_was_never_sent_is_found(database: Database) -> None:
    run_id = pending_run(database)
    make_due(database)

    assert find(database) == [run_id]


def test_a_fresh_run_is_left_to_whoever_created_it(database: Database) -> None:
    pending_run(database)

    assert find(database) == []


def test_a_run_whose_lane_died_is_found(database: Database) -> None:
    run_id = started_run(database)
    expired_chunk(database, run_id)
    make_due(database)

    assert find(database) == [run_id]


def test_a_run_with_a_live_lease_is_left_alone(database: Database) -> None:
    run_id = started_run(database)
    claimed_chunk(database, run_id)
    make_due(database)

    assert find(database) == []


@pytest.mark.parametrize(("earlier_resends", "pause_s"), [(0, 1), (1, 2), (5, 32), (60, 300)])
def test_a_run_found_again_and_again_is_sent_ever_more_rarely(
    database: Database, earlier_resends: int, pause_s: int
) -> None:
    pending_run(database)
    make_due(database)
    with database.transaction() as session:
        session.execute(text("UPDATE runs SET resends = :resends"), {"resends": earlier_resends})

    find(database)

    with database.transaction() as session:
        pause = session.execute(text("SELECT extract(epoch FROM resend_at - now()) FROM runs")).scalar_one()
    assert pause_s - 1 < float(pause) <= pause_s


def test_a_run_that_takes_too_long_is_found(database: Database) -> None:
    run_id, _ = pending_run(database), pending_run(database)
    with database.transaction() as session:
        session.execute(text("UPDATE runs SET created_at = now() - interval '3 hours' WHERE id = :id"), {"id": run_id})

    with database.transaction() as session:
        assert list(standstill.find_overdue(session, hours=2.5)) == [run_id]
        assert list(standstill.find_overdue(session, hours=4)) == []


def test_when_the_broker_lost_its_data_every_active_run_is_sent_again(database: Database) -> None:
    working = started_run(database)
    claimed_chunk(database, working)
    pending = pending_run(database)
    over = pending_run(database)
    with database.transaction() as session:
        runs.fail(session, over, RunError("code", "A sentence.", None))

    with database.transaction() as session:
        assert {run.run_id for run in standstill.find_all_active(session)} == {working, pending}
