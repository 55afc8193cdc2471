"""The runs that the sweeper finds: stalled ones, overdue ones, and all active ones when the broker lost its data."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import text

from models.database import Database
from models.transitions import RunError
from pipeline.runs import lifecycle, stalled
from tests.factories import LOOKUP, count, expired_chunk, finish_chunk, found, leased_chunk, pending_run, started_run


def make_due(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE runs SET resend_at = now() - interval '1 second'"))


def find(database: Database) -> list[UUID]:
    with database.transaction() as session:
        stalled.take_turn(session)
        return [run.run_id for run in stalled.find_stalled(session)]


def test_a_run_whose_chain_was_never_sent_is_found(database: Database) -> None:
    run_id = pending_run(database)
    make_due(database)

    assert find(database) == [run_id]


def test_a_fresh_run_is_left_to_whoever_created_it(database: Database) -> None:
    pending_run(database)

    assert find(database) == []


def test_a_run_whose_chunk_task_died_is_found(database: Database) -> None:
    run_id = started_run(database)
    expired_chunk(database, run_id)
    make_due(database)

    assert find(database) == [run_id]


def test_a_run_with_a_live_lease_is_left_alone(database: Database) -> None:
    run_id = started_run(database)
    leased_chunk(database, run_id)
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


def test_a_run_that_was_at_work_again_is_sent_as_soon_as_a_new_one(database: Database) -> None:
    run_id = started_run(database)
    with database.transaction() as session:
        session.execute(text("UPDATE runs SET resends = 8"))

    finish_chunk(database, leased_chunk(database, run_id), [found(0), found(1)])

    with database.transaction() as session:
        assert count(session, "SELECT resends FROM runs") == 0


def test_several_sweepers_at_once_find_each_run_once(database: Database) -> None:
    run_ids = [pending_run(database) for _ in range(6)]
    with database.transaction() as session:
        session.execute(text("UPDATE runs SET resends = 8, resend_at = now() - interval '1 second'"))

    with ThreadPoolExecutor(4) as sweepers:
        found = [run_id for sweep in sweepers.map(lambda _: find(database), range(8)) for run_id in sweep]

    assert sorted(found) == sorted(run_ids)


def age(database: Database, run_id: UUID, run_hours: float, stage_hours: float = 0) -> None:
    """As if the run had been created, and its running stage started, so many hours ago."""
    statements = {
        "UPDATE runs SET created_at = now() - make_interval(secs => 3600 * :hours) WHERE id = :id": run_hours,
        "UPDATE run_stages SET started_at = now() - make_interval(secs => 3600 * :hours)"
        " WHERE run_id = :id AND status <> 'pending'": stage_hours,
    }
    with database.transaction() as session:
        for statement, hours in statements.items():
            session.execute(text(statement), {"id": run_id, "hours": hours})


def overdue(database: Database, run_hours: float = 48, stage_hours: float = 24) -> list[tuple[UUID, str, str | None]]:
    with database.transaction() as session:
        found = stalled.find_overdue(session, run_hours, stage_hours)
    return [(late.run_id, late.error.code, late.error.stage) for late in found]


def test_a_run_that_takes_too_long_is_found(database: Database) -> None:
    run_id, _ = pending_run(database), pending_run(database)
    age(database, run_id, run_hours=3)

    assert overdue(database, run_hours=2.5) == [(run_id, "run_time_limit", None)]
    assert overdue(database, run_hours=4) == []


def test_a_run_with_a_stage_that_takes_too_long_is_found(database: Database) -> None:
    run_id, _ = started_run(database), started_run(database)
    age(database, run_id, run_hours=3, stage_hours=3)

    assert overdue(database, stage_hours=2.5) == [(run_id, "stage_time_limit", LOOKUP)]
    assert overdue(database, stage_hours=4) == []


def test_a_complete_stage_is_not_overdue(database: Database) -> None:
    run_id = started_run(database, count=1)
    finish_chunk(database, leased_chunk(database, run_id), [found(0)])
    age(database, run_id, run_hours=3, stage_hours=3)

    assert overdue(database, stage_hours=2.5) == []


def test_a_finished_run_is_not_overdue(database: Database) -> None:
    run_id = started_run(database)
    with database.transaction() as session:
        lifecycle.fail(session, run_id, RunError("code", "A sentence.", None))
    age(database, run_id, run_hours=100, stage_hours=100)

    assert overdue(database) == []


def test_a_limit_for_runs_below_that_for_stages_holds(database: Database) -> None:
    run_id = started_run(database)
    age(database, run_id, run_hours=3, stage_hours=3)

    assert overdue(database, run_hours=2, stage_hours=24) == [(run_id, "run_time_limit", None)]


def test_when_the_broker_lost_its_data_every_active_run_is_sent_again(database: Database) -> None:
    working = started_run(database)
    leased_chunk(database, working)
    pending = pending_run(database)
    over = pending_run(database)
    with database.transaction() as session:
        lifecycle.fail(session, over, RunError("code", "A sentence.", None))

    with database.transaction() as session:
        assert {run.run_id for run in stalled.find_all_active(session)} == {working, pending}


def test_a_due_run_that_was_sent_because_the_broker_lost_its_data_is_not_sent_at_once_again(database: Database) -> None:
    run_id = pending_run(database)
    make_due(database)

    with database.transaction() as session:
        assert [run.run_id for run in stalled.find_all_active(session)] == [run_id]

    assert find(database) == []
    make_due(database)
    assert find(database) == [run_id]


def test_a_run_whose_chain_could_not_be_sent_is_not_postponed(database: Database) -> None:
    run_id = pending_run(database)
    make_due(database)
    with database.transaction() as session:
        session.execute(text("UPDATE runs SET resends = 5"))
    find(database)

    with database.transaction() as session:
        stalled.unmark_resent(session, [run_id])

    with database.transaction() as session:
        assert count(session, "SELECT resends FROM runs") == 5
        assert count(session, "SELECT count(*) FROM run_events WHERE kind = 'resent'") == 0
    assert find(database) == [run_id]


def test_an_orphan_for_which_no_chain_could_be_sent_is_found_again_beside_live_chunk_tasks(database: Database) -> None:
    run_id = started_run(database)
    expired_chunk(database, run_id)
    assert find(database) == [run_id]
    assert find(database) == []

    with database.transaction() as session:
        stalled.unmark_resent(session, [run_id])

    leased_chunk(database, run_id)
    expired_chunk(database, run_id)
    assert find(database) == [run_id]
