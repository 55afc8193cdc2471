"""Failures in a row: counted on the run, paced, ended by any progress; too many of them for too long fail the run."""

import pytest
from sqlalchemy import text

from models.database import Database
from models.pauses import doubling_pause
from models.run import Run
from models.transitions import lock_run
from pipeline.errors import ChunkExhausted, GrowthError, LeaseLost
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.runs import chunks, trouble
from pipeline.runs.poison import MAX_ATTEMPTS
from pipeline.runs.trouble import (
    FAILURES_PER_SECOND,
    FREE_FAILURES,
    LEAST_FAILURES,
    LONGEST_PAUSE_S,
    PATIENCE,
    Step,
    StepFailed,
    Trouble,
)
from tests.factories import (
    LEASE_S,
    LOOKUP,
    count,
    expired_chunk,
    finish_chunk,
    found,
    lease_chunk,
    leased_chunk,
    let_pauses_pass,
    started_run,
)
from tests.integration.failures.broken_steps import refused
from tests.unit.worker.test_sweeping import Standing
from worker.sweeper.sweep import sweep

FAILED = StepFailed(Step.LOAD, "database error 22003")


def fail_a_chunk(database: Database) -> None:
    """Lease one more chunk, and fail its attempt."""
    with database.transaction() as session:
        run = session.query(Run).one()
    lease = leased_chunk(database, run.id)
    with database.transaction() as session:
        lock_run(session, run.id)
        chunks.fail_attempt(session, lease, FAILED)


def execute(database: Database, statement: str) -> None:
    with database.transaction() as session:
        session.execute(text(statement))


def failures(database: Database) -> int:
    with database.transaction() as session:
        return count(session, "SELECT failures FROM runs")


def test_pauses_double_and_end_at_a_minute() -> None:
    assert [doubling_pause(times, LONGEST_PAUSE_S) for times in (1, 2, 3, 6, 7, 5000)] == [
        1,
        2,
        4,
        32,
        LONGEST_PAUSE_S,
        LONGEST_PAUSE_S,
    ]


def test_all_attempts_at_a_chunk_that_can_not_be_cut_take_minutes_not_hours() -> None:
    assert (
        PATIENCE.total_seconds()
        <= sum(doubling_pause(times, LONGEST_PAUSE_S) for times in range(1, MAX_ATTEMPTS))
        <= 300
    )


def test_a_chunk_that_failed_waits_as_long_as_its_attempts_say(database: Database) -> None:
    started_run(database, count=2, chunk_size=2)
    waits = []
    for _ in range(2):
        fail_a_chunk(database)
        with database.transaction() as session:
            waits.append(count(session, "SELECT round(extract(epoch FROM not_before - now())) FROM run_chunks"))
            assert count(session, "SELECT count(*) FROM run_chunks WHERE not_before < now()") == 0
        let_pauses_pass(database)

    assert waits == [1, 2]


def poison(position: int) -> Outcome:
    return Outcome(position, OutcomeStatus.NOT_FOUND, Reason.INTERNAL_ERROR)


def test_a_recorded_outcome_ends_the_count_and_that_of_a_poison_contact_does_not(database: Database) -> None:
    run_id = started_run(database, count=4, chunk_size=2)
    fail_a_chunk(database)
    lease = leased_chunk(database, run_id)

    with database.transaction() as session:
        chunks.record(session, lease, [poison(2)], LEASE_S)
    assert failures(database) == 1

    with database.transaction() as session:
        chunks.record(session, lease, [found(3)], LEASE_S)
    assert failures(database) == 0


def test_what_is_deferred_and_what_is_finished_ends_the_count(database: Database) -> None:
    run_id = started_run(database, count=4, chunk_size=2)
    fail_a_chunk(database)
    lease = leased_chunk(database, run_id)
    with database.transaction() as session:
        chunks.defer(session, lease, [Deferral(2, 60, Reason.GREYLISTED)])
    assert failures(database) == 0

    let_pauses_pass(database)
    fail_a_chunk(database)
    let_pauses_pass(database)
    finish_chunk(database, leased_chunk(database, run_id), [])
    assert failures(database) == 0


def test_a_failure_from_before_a_long_wait_is_not_one_in_a_row(database: Database) -> None:
    started_run(database, count=3, chunk_size=1)
    for _ in range(2):
        fail_a_chunk(database)
    assert failures(database) == 2
    execute(database, "UPDATE runs SET retry_at = now() - interval '6 minutes'")

    fail_a_chunk(database)

    assert failures(database) == 1
    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM runs WHERE troubled_since > now() - interval '1 minute'") == 1


def test_a_run_that_failed_often_in_a_row_is_leased_at_a_pace(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=1)
    fail_a_chunk(database)
    with database.transaction() as session:
        many = {"failures": FREE_FAILURES + 100 * FAILURES_PER_SECOND}
        session.execute(text("UPDATE runs SET failures = :failures, resend_at = now()"), many)
    with database.transaction() as session:
        run = session.get_one(Run, run_id)
        assert trouble.must_wait(session, run)
        trouble.park(session, run)
        assert count(session, "SELECT count(*) FROM runs WHERE parked_until > now()") == 1
    assert lease_chunk(database, run_id) is None

    with database.transaction() as session:
        session.execute(text("UPDATE runs SET troubled_since = troubled_since - interval '101 s'"))
    assert lease_chunk(database, run_id) is not None


@pytest.mark.parametrize(
    ("times", "seconds", "hopeless"),
    [(LEAST_FAILURES, 121, True), (LEAST_FAILURES - 1, 3600, False), (LEAST_FAILURES + 50, 100, False)],
    ids=["often-and-long", "seldom", "not-yet-long"],
)
def test_a_run_is_hopeless_that_only_failed_often_enough_for_long_enough(
    database: Database, times: int, seconds: int, hopeless: bool
) -> None:
    run_id = started_run(database)
    with database.transaction() as session:
        trouble.note(session, run_id, Trouble(Step.LOAD, LOOKUP, "database error 22003", 1))
        session.execute(
            text("UPDATE runs SET failures = :times, troubled_since = updated_at - make_interval(secs => :seconds)"),
            {"times": times, "seconds": seconds},
        )

    with database.transaction() as session:
        assert trouble.is_hopeless(session.get_one(Run, run_id)) is hopeless


def test_a_run_all_of_whose_chunk_tasks_die_fails_within_minutes(database: Database) -> None:
    run_id = started_run(database, count=2000, chunk_size=1)
    with database.transaction() as session:
        session.execute(text("UPDATE run_chunks SET attempts = 1"))
    for _ in range(LEAST_FAILURES):
        expired_chunk(database, run_id)
    with database.transaction() as session:
        session.execute(text("UPDATE runs SET troubled_since = now() - interval '2 minutes'"))

    with pytest.raises(ChunkExhausted, match=str(run_id)):
        lease_chunk(database, run_id)


def test_a_chunk_task_that_dies_once_is_no_trouble(database: Database) -> None:
    run_id = started_run(database)
    expired_chunk(database, run_id)
    leased_chunk(database, run_id)

    assert failures(database) == 0


@pytest.mark.parametrize("error", [LeaseLost("gone"), ChunkExhausted("again"), StepFailed(Step.PLAN, "x")])
def test_an_error_with_a_meaning_of_its_own_is_no_failed_step(error: GrowthError) -> None:
    with pytest.raises(type(error)) as raised, trouble.step(Step.WORK):
        raise error

    assert raised.value is error


def test_a_failed_step_tells_where_and_of_what_kind_and_never_a_value() -> None:
    with pytest.raises(StepFailed) as raised, trouble.step(Step.WORK):
        Trouble.from_json({"step": "given.family@alpha.test"})

    assert str(raised.value).startswith("failed while its contacts were worked: internal error ValueError, pipeline.")
    assert "alpha.test" not in str(raised.value)


def test_one_overdue_run_that_can_not_be_failed_holds_up_no_other_and_waits(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = started_run(database), started_run(database)
    refused("UPDATE", "runs", f"NEW.status = 'failed' AND NEW.id = '{stuck}'", "").break_in(database)
    execute(database, "UPDATE runs SET created_at = now() - interval '1 day', resend_at = now() + interval '1 hour'")

    sweep(database, Standing(), run_hours=1, stage_hours=1)
    execute(database, "UPDATE runs SET retry_at = now() + interval '1 minute' WHERE retry_at IS NOT NULL")
    sweep(database, Standing(), run_hours=1, stage_hours=1)

    with database.transaction() as session:
        assert session.get_one(Run, other).status == "failed"
        kept = session.get_one(Run, stuck)
        assert (kept.status, kept.failures) == ("running", 1)
        assert (kept.trouble or {})["step"] == "fail"
