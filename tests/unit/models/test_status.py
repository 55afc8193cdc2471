"""Which status may follow which: every pair, allowed and refused, on the real table."""

import itertools

import pytest
from sqlalchemy import text

from models.database import Database
from models.run import Run
from models.status import ALLOWED_RUN_TRANSITIONS, TERMINAL_RUN_STATUSES, RunStatus, statuses_before
from models.transitions import RunError, complete_run, fail_run, start_run
from tests.factories import WORKER, pending_run

ENTER = {
    RunStatus.RUNNING: lambda session, run_id: start_run(session, run_id, WORKER),
    RunStatus.COMPLETED: lambda session, run_id: complete_run(session, run_id, WORKER),
    RunStatus.FAILED: lambda session, run_id: fail_run(session, run_id, RunError("code", "A sentence.", None)),
}
PUT_INTO = {
    RunStatus.PENDING: "status = 'pending'",
    RunStatus.RUNNING: "status = 'running', started_at = now()",
    RunStatus.COMPLETED: "status = 'completed', started_at = now(), finished_at = now()",
    RunStatus.FAILED: "status = 'failed', finished_at = now(), error_code = 'code', error_message = 'A sentence.'",
    RunStatus.CANCELLED: "status = 'cancelled', finished_at = now()",
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(RunStatus, ENTER)))
def test_a_transition_lands_exactly_when_the_table_allows_it(
    database: Database, before: RunStatus, after: RunStatus
) -> None:
    run_id = pending_run(database)
    with database.transaction() as session:
        session.execute(text(f"UPDATE runs SET {PUT_INTO[before]} WHERE id = :id"), {"id": run_id})

    with database.transaction() as session:
        landed = ENTER[after](session, run_id)

    allowed = after in ALLOWED_RUN_TRANSITIONS[before]
    with database.transaction() as session:
        run = session.get_one(Run, run_id)
    assert landed is allowed
    assert run.status == (after if allowed else before)


def test_a_terminal_status_is_final() -> None:
    assert {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED} == TERMINAL_RUN_STATUSES


def test_nothing_returns_to_pending() -> None:
    assert statuses_before(RunStatus.PENDING) == frozenset()
