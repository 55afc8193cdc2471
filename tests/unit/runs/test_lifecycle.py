"""A run's own steps: begin, complete, fail."""

from uuid import UUID

from sqlalchemy import text

from models.database import Database
from models.queries import artifacts_of_run, events_of_run
from models.run import Run
from models.run_chunk import COMPILE
from models.transitions import RunError
from pipeline.outcomes import Outcome
from pipeline.runs import lifecycle
from pipeline.runs.chunks import Lease
from pipeline.runs.lifecycle import Beginning
from tests.factories import (
    LOOKUP,
    VERIFY,
    WORKER,
    account,
    count,
    finish_chunk,
    found,
    leased_chunk,
    not_found,
    pending_run,
    skipped,
    started_run,
    valid,
)


def begin(database: Database, run_id: UUID, stage: str) -> Beginning:
    with database.transaction() as session:
        return lifecycle.begin_stage(session, run_id, stage, WORKER, 200)


def work(database: Database, run_id: UUID, stage: str, outcomes: list[Outcome]) -> None:
    begin(database, run_id, stage)
    finish_chunk(database, leased_chunk(database, run_id, stage), outcomes)


def ready_to_compile(database: Database, run_id: UUID) -> Lease:
    work(database, run_id, LOOKUP, [found(0), found(1), not_found(2)])
    work(database, run_id, VERIFY, [valid(0), valid(1), skipped(2)])
    begin(database, run_id, COMPILE)
    return leased_chunk(database, run_id, COMPILE)


def test_the_first_chain_step_starts_the_run_and_its_stage(database: Database) -> None:
    run_id = pending_run(database)

    assert begin(database, run_id, LOOKUP) is Beginning.WORK

    with database.transaction() as session:
        assert session.get_one(Run, run_id).status == "running"
        assert [event.kind for event in events_of_run(session, run_id)] == ["created", "started", "stage_started"]


def test_a_chain_step_that_is_delivered_twice_starts_and_plans_once(database: Database) -> None:
    run_id = pending_run(database, count=5)

    for _ in range(3):
        begin(database, run_id, LOOKUP)

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM run_chunks") == 1
        assert count(session, "SELECT count(*) FROM run_events WHERE kind = 'stage_started'") == 1


def test_a_stage_never_begins_before_the_earlier_one_is_complete(database: Database) -> None:
    run_id = started_run(database)

    assert begin(database, run_id, VERIFY) is Beginning.OVER
    assert begin(database, run_id, COMPILE) is Beginning.OVER


def test_the_chain_passes_a_stage_that_is_complete(database: Database) -> None:
    run_id = pending_run(database, count=1)
    work(database, run_id, LOOKUP, [found(0)])

    assert begin(database, run_id, LOOKUP) is Beginning.DONE


def test_nothing_begins_for_an_unknown_run(database: Database) -> None:
    assert begin(database, UUID(int=1), LOOKUP) is Beginning.OVER


def test_completing_writes_results_artifact_rebate_and_status_at_once(database: Database) -> None:
    owner = account(database, credits_granted=100).account_id
    run_id = pending_run(database, account_id=owner)
    lease = ready_to_compile(database, run_id)

    with database.transaction() as session:
        run = lifecycle.complete(session, lease, [])

    assert run.status == "completed"
    assert run.preview["delivered_counts"] == {"delivered_contacts": 2, "verified_emails": 2}
    assert run.preview["pricing"]["rebate_credits"] == 4
    assert run.data_source_mix["enriched"] == 2
    assert run.gap_report["unresolved"] == 1
    with database.transaction() as session:
        assert [artifact.asset_id for artifact in artifacts_of_run(session, run_id)] == ["verified_contacts"]
        assert count(session, "SELECT credit_balance FROM accounts") == 100 - 12 + 4
        assert count(session, "SELECT sum(credits) FROM credit_ledger") == 100 - 12 + 4


def test_a_completed_run_gives_back_no_more_than_it_was_charged(database: Database) -> None:
    """A retry may be like this: a contact was delivered and paid for before, and is suppressed now."""
    run_id = pending_run(database)
    lease = ready_to_compile(database, run_id)
    with database.transaction() as session:
        session.execute(text("UPDATE runs SET charged_contacts = 0"))

    with database.transaction() as session:
        run = lifecycle.complete(session, lease, [])

    assert run.gap_report["unresolved"] == 1
    with database.transaction() as session:
        assert count(session, "SELECT credits FROM credit_ledger WHERE kind = 'rebate'") == 0


def test_a_failed_run_pays_back_what_it_did_not_deliver(database: Database) -> None:
    owner = account(database, credits_granted=100).account_id
    run_id = pending_run(database, account_id=owner)
    work(database, run_id, LOOKUP, [found(0), not_found(1), not_found(2)])

    with database.transaction() as session:
        run = lifecycle.fail(session, run_id, RunError("no_resolver", "No resolver answers.", LOOKUP), WORKER)

    assert run is not None
    assert (run.status, run.error_code, run.error_stage) == ("failed", "no_resolver", LOOKUP)
    with database.transaction() as session:
        assert count(session, "SELECT credit_balance FROM accounts") == 100 - 4
        (event,) = [event for event in events_of_run(session, run_id) if event.kind == "failed"]
    assert (event.stage, event.worker, event.detail) == (LOOKUP, WORKER, {"code": "no_resolver"})


def test_a_run_that_is_over_does_not_fail(database: Database) -> None:
    run_id = pending_run(database)
    lease = ready_to_compile(database, run_id)
    with database.transaction() as session:
        lifecycle.complete(session, lease, [])

    with database.transaction() as session:
        assert lifecycle.fail(session, run_id, RunError("late", "Too late.", None)) is None
        assert session.get_one(Run, run_id).status == "completed"
        assert count(session, "SELECT count(*) FROM credit_ledger WHERE kind = 'rebate'") == 1
