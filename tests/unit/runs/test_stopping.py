"""Cancelled and failed runs keep what was found and pay the rest back; a retry pays only for what is missing."""

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import Database
from models.queries import free_chunks, stages_of_run
from models.run import Run
from models.transitions import RunError
from pipeline.errors import InsufficientCredits, LeaseLost, RunStateConflict, UnknownRun
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.runs import chunks, lifecycle
from pipeline.runs.chunks import Lease
from pipeline.runs.create import CreatedRun
from pipeline.runs.retry import retry_run
from pipeline.runs.trouble import Step, StepFailed
from tests.factories import (
    LEASE_S,
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
    valid,
)

PRICE = 4


class Customer:
    """An account with 1,000 credits and a run of ten contacts, four of them worked: three found, one greylisted."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.account_id = account(database, credits_granted=1000).account_id
        self.run_id = pending_run(database, count=10, account_id=self.account_id)
        with database.transaction() as session:
            lifecycle.begin_stage(session, self.run_id, LOOKUP, WORKER, 4)
        greylisted = Outcome(3, OutcomeStatus.NOT_FOUND, Reason.GREYLISTED)
        finish_chunk(database, leased_chunk(database, self.run_id), [found(0), found(1), found(2), greylisted])

    def cancel(self, account_id: UUID | None = None) -> Run:
        with self.database.transaction() as session:
            return lifecycle.cancel(session, account_id or self.account_id, self.run_id)

    def retry(self, account_id: UUID | None = None) -> CreatedRun:
        with self.database.transaction() as session:
            return retry_run(session, account_id or self.account_id, self.run_id)

    @property
    def balance(self) -> int:
        query = "SELECT credit_balance FROM accounts WHERE id = :id"
        with self.database.transaction() as session:
            balance = count(session, query, id=self.account_id)
            ledger = count(session, "SELECT sum(credits) FROM credit_ledger WHERE account_id = :id", id=self.account_id)
        assert balance == ledger
        return balance


@pytest.fixture
def customer(database: Database) -> Customer:
    return Customer(database)


def test_a_cancelled_run_keeps_what_it_found_and_pays_the_rest_back(customer: Customer) -> None:
    run = customer.cancel()

    assert run.status == "cancelled"
    assert run.preview["delivered_counts"]["delivered_contacts"] == 3
    assert run.gap_report["reasons"]["run_stopped"]["count"] == 6
    assert run.gap_report["unresolved"] == 7
    assert customer.balance == 1000 - 3 * PRICE


def test_the_stage_that_was_running_is_cancelled_with_its_run(customer: Customer, database: Database) -> None:
    customer.cancel()

    with database.transaction() as session:
        assert [row.status for row in stages_of_run(session, customer.run_id)] == ["cancelled", "pending"]


def test_a_chunk_task_of_a_cancelled_run_can_not_write(customer: Customer, database: Database) -> None:
    lease = leased_chunk(database, customer.run_id)
    customer.cancel()

    with pytest.raises(LeaseLost, match="the run is over"), database.transaction() as session:
        chunks.record(session, lease, [found(5)], LEASE_S)


def fail(customer: Customer) -> None:
    with customer.database.transaction() as session:
        lifecycle.fail(session, customer.run_id, RunError("code", "A sentence.", LOOKUP))


@pytest.fixture(params=[Customer.cancel, fail], ids=["cancelled", "failed"])
def stopped_lease(request: pytest.FixtureRequest, customer: Customer, database: Database) -> Lease:
    """The lease of a task at work, whose run was stopped; its other chunks were done, waiting, released and open."""
    waits, released = leased_chunk(database, customer.run_id), leased_chunk(database, customer.run_id)
    with database.transaction() as session:
        chunks.defer(session, waits, [Deferral(waits.first_position, 300, Reason.GREYLISTED)])
        chunks.release(session, released, "the worker stops")
    lease = leased_chunk(database, customer.run_id)
    with database.transaction() as session:
        chunks.plan(session, customer.run_id, VERIFY, contacts=10, size=4)
    request.param(customer)
    return lease


def test_a_stopped_run_leaves_no_chunk_open_or_leased(
    customer: Customer, stopped_lease: Lease, database: Database
) -> None:
    by_status = "SELECT status, count(*) FROM run_chunks WHERE run_id = :id GROUP BY status ORDER BY status"
    with database.transaction() as session:
        left = session.execute(text(by_status), {"id": customer.run_id}).all()
        waiting = session.scalar(text("SELECT sum(waiting) FROM run_stages"))
        assert free_chunks(session, customer.run_id, LOOKUP, 10) == []

    assert [tuple(row) for row in left] == [("done", 1), ("stopped", 5)]
    assert waiting == 0


def finish(session: Session, lease: Lease) -> None:
    chunks.finish(session, lease, (), LEASE_S)


def fail_attempt(session: Session, lease: Lease) -> None:
    chunks.fail_attempt(session, lease, StepFailed(Step.WORK, "ValueError"))


@pytest.mark.parametrize("end", [finish, fail_attempt])
def test_a_chunk_task_that_comes_back_to_a_stopped_run_has_lost_its_lease(
    stopped_lease: Lease, database: Database, end: Callable[[Session, Lease], None]
) -> None:
    with pytest.raises(LeaseLost), database.transaction() as session:
        end(session, stopped_lease)


def test_a_chunk_that_is_released_of_a_stopped_run_stays_stopped(stopped_lease: Lease, database: Database) -> None:
    with database.transaction() as session:
        chunks.release(session, stopped_lease, "the worker stops")

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM run_chunks WHERE status IN ('open', 'leased')") == 0


def test_a_retry_of_a_stopped_run_has_chunks_of_its_own(
    customer: Customer, stopped_lease: Lease, database: Database
) -> None:
    retried = customer.retry()
    with database.transaction() as session:
        lifecycle.begin_stage(session, retried.run_id, LOOKUP, WORKER, 4)

    assert leased_chunk(database, retried.run_id).number == 0


def test_compiling_stops_with_its_run(database: Database) -> None:
    run_id = pending_run(database, count=1)
    for stage, outcome in ((LOOKUP, found(0)), (VERIFY, valid(0))):
        with database.transaction() as session:
            lifecycle.begin_stage(session, run_id, stage, WORKER, 1)
        finish_chunk(database, leased_chunk(database, run_id, stage), [outcome])
    with database.transaction() as session:
        lifecycle.begin_stage(session, run_id, "compile", WORKER, 1)
    lease = leased_chunk(database, run_id, "compile")

    with database.transaction() as session:
        lifecycle.fail(session, run_id, RunError("code", "A sentence.", "compile"))

    with pytest.raises(LeaseLost), database.transaction() as session:
        lifecycle.complete(session, lease, [])
    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM run_chunks WHERE status = 'stopped'") == 1


def test_a_finished_run_can_not_be_cancelled(customer: Customer) -> None:
    customer.cancel()

    with pytest.raises(RunStateConflict, match="is cancelled already"):
        customer.cancel()
    assert customer.balance == 1000 - 3 * PRICE


def test_another_accounts_run_can_not_be_cancelled(customer: Customer, database: Database) -> None:
    with pytest.raises(UnknownRun):
        customer.cancel(account(database).account_id)


def test_a_retry_is_a_new_run_that_pays_only_for_what_was_not_delivered(customer: Customer) -> None:
    customer.cancel()

    retried = customer.retry()

    assert retried.is_new
    assert retried.run_id != customer.run_id
    assert customer.balance == 1000 - 3 * PRICE - 7 * PRICE


def test_a_retry_keeps_outcomes_that_hold_and_asks_again_where_things_may_have_passed(
    customer: Customer, database: Database
) -> None:
    customer.cancel()
    retried = customer.retry()
    with database.transaction() as session:
        lifecycle.begin_stage(session, retried.run_id, LOOKUP, WORKER, 10)

    with database.transaction() as session:
        assert stages_of_run(session, retried.run_id)[0].done == 3
        left = chunks.load(session, leased_chunk(database, retried.run_id)).contacts
    assert [contact.position for contact in left] == list(range(3, 10))


def test_a_retry_verifies_again_whom_a_mail_server_deferred_and_looks_up_no_contact_again(
    customer: Customer, database: Database
) -> None:
    finish_chunk(database, leased_chunk(database, customer.run_id), [found(position) for position in range(4, 8)])
    finish_chunk(database, leased_chunk(database, customer.run_id), [found(8), found(9)])
    with database.transaction() as session:
        lifecycle.begin_stage(session, customer.run_id, VERIFY, WORKER, 4)
    defer = Outcome(1, OutcomeStatus.UNKNOWN, Reason.GREYLISTED, email=found(1).email)
    finish_chunk(database, leased_chunk(database, customer.run_id, VERIFY), [valid(0), defer, valid(2), skipped(3)])
    customer.cancel()

    retried = customer.retry()

    with database.transaction() as session:
        lookup, verify, *_ = stages_of_run(session, retried.run_id)
    assert (lookup.done, verify.done) == (9, 2)


def test_a_retry_that_finds_all_ends_at_the_full_price_and_one_that_finds_nothing_at_none_more(
    customer: Customer, database: Database
) -> None:
    customer.cancel()
    retried = customer.retry()

    for stage, outcomes in (
        (LOOKUP, [not_found(n) for n in range(3, 10)]),
        (VERIFY, [valid(n) for n in range(3)] + [not_found(n) for n in range(3, 10)]),
        ("compile", []),
    ):
        with database.transaction() as session:
            lifecycle.begin_stage(session, retried.run_id, stage, WORKER, 10)
        lease = leased_chunk(database, retried.run_id, stage)
        if stage == "compile":
            with database.transaction() as session:
                lifecycle.complete(session, lease, [])
        else:
            finish_chunk(database, lease, outcomes)

    assert customer.balance == 1000 - 3 * PRICE


def test_retrying_twice_gives_the_same_run_and_charges_once(customer: Customer) -> None:
    customer.cancel()

    first, second = customer.retry(), customer.retry()

    assert (first.run_id, second.is_new) == (second.run_id, False)
    assert customer.balance == 1000 - 10 * PRICE


def test_only_a_failed_or_cancelled_run_can_be_retried(customer: Customer) -> None:
    with pytest.raises(RunStateConflict, match="This run is running"):
        customer.retry()


def test_another_accounts_run_can_not_be_retried(customer: Customer, database: Database) -> None:
    customer.cancel()

    with pytest.raises(UnknownRun):
        customer.retry(account(database).account_id)


def test_a_retry_that_can_not_be_paid_leaves_nothing_behind(customer: Customer, database: Database) -> None:
    customer.cancel()
    with database.transaction() as session:
        pending_run(database, count=(customer.balance - 4) // PRICE, account_id=customer.account_id)

    with pytest.raises(InsufficientCredits):
        customer.retry()

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM runs WHERE retry_of IS NOT NULL") == 0
