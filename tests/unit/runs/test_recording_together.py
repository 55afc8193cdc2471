"""Tasks record outcomes of a run beside each other. Whatever ends the run, or changes all of it, waits for them."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import Database
from models.queries import stages_of_run
from models.run import Run
from models.status import StageStatus
from models.transitions import lock_run, lock_run_for_recording, renew_leases
from pipeline.errors import LeaseLost
from pipeline.runs import chunks, lifecycle, stalled
from pipeline.runs.chunks import Lease
from tests.factories import (
    LEASE_S,
    LOOKUP,
    WORKER,
    count,
    expire,
    found,
    leased_chunk,
    not_found,
    owner_of,
    started_run,
)

DEADLINE_S = 10.0
HAS_ENDED = "SELECT FROM run_chunks WHERE number = 0 AND lease_expires_at <= clock_timestamp()"
WAITING = "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    """A thread for the other task."""
    with ThreadPoolExecutor(1) as thread:
        yield thread


@pytest.fixture
def run_id(database: Database) -> UUID:
    """A run of four contacts in two chunks."""
    return started_run(database, count=4, chunk_size=2)


@pytest.fixture
def leases(database: Database, run_id: UUID) -> tuple[Lease, Lease]:
    return leased_chunk(database, run_id, worker="worker-1@test/1"), leased_chunk(
        database, run_id, worker="worker-2@test/1"
    )


def in_transaction(database: Database, does: Callable[[Session], object]) -> object:
    with database.transaction() as session:
        return does(session)


def query_that_waits(database: Database) -> str:
    """What another session waits with for a lock."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with database.transaction() as session:
            if query := session.scalar(text(WAITING)):
                return str(query)
    raise AssertionError("no session waits for a lock")


def test_only_the_last_statement_of_recording_needs_the_runs_row(
    database: Database, run_id: UUID, leases: tuple[Lease, Lease], beside: ThreadPoolExecutor
) -> None:
    with database.transaction() as session:
        session.execute(text("SELECT FROM runs WHERE id = :id FOR NO KEY UPDATE"), {"id": run_id})
        recording = beside.submit(
            in_transaction, database, lambda session: chunks.record(session, leases[0], [found(0)], LEASE_S)
        )
        query = query_that_waits(database)
    recording.result(DEADLINE_S)

    assert "UPDATE runs" in query


def test_of_two_tasks_that_finish_the_last_chunks_at_once_one_completes_the_stage(
    database: Database, run_id: UUID, leases: tuple[Lease, Lease], beside: ThreadPoolExecutor
) -> None:
    first, second = leases

    def finish_second(session: Session) -> bool:
        chunks.finish(session, second, [not_found(2), not_found(3)], LEASE_S)
        return lifecycle.advance(session, run_id, LOOKUP, second.worker)

    with database.transaction() as session:
        chunks.finish(session, first, [not_found(0), not_found(1)], LEASE_S)
        finishing = beside.submit(in_transaction, database, finish_second)
        query_that_waits(database)
        is_complete = lifecycle.advance(session, run_id, LOOKUP, first.worker)

    assert (is_complete, finishing.result(DEADLINE_S)) == (False, True)
    with database.transaction() as session:
        assert stages_of_run(session, run_id)[0].status == StageStatus.COMPLETED


def test_a_cancellation_waits_for_outcomes_that_are_being_recorded_and_counts_them(
    database: Database, run_id: UUID, leases: tuple[Lease, Lease], beside: ThreadPoolExecutor
) -> None:
    owner = owner_of(database, run_id)
    with database.transaction() as session:
        chunks.record(session, leases[0], [found(0), found(1)], LEASE_S)
        cancelling: Future[object] = beside.submit(
            in_transaction, database, lambda session: lifecycle.cancel(session, owner, run_id)
        )
        query_that_waits(database)
    cancelling.result(DEADLINE_S)

    with database.transaction() as session:
        assert session.get_one(Run, run_id).preview["delivered_counts"]["delivered_contacts"] == 2


def test_a_task_that_wants_to_record_waits_for_a_cancellation_and_has_lost_its_lease_then(
    database: Database, run_id: UUID, leases: tuple[Lease, Lease], beside: ThreadPoolExecutor
) -> None:
    with database.transaction() as session:
        lifecycle.cancel(session, owner_of(database, run_id), run_id)
        recording = beside.submit(
            in_transaction, database, lambda session: chunks.record(session, leases[0], [found(0)], LEASE_S)
        )
        query_that_waits(database)

    with pytest.raises(LeaseLost):
        recording.result(DEADLINE_S)
    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM outcomes WHERE run_id = :run_id", run_id=run_id) == 0


def test_who_waits_for_a_run_comes_before_those_who_record_later(
    database: Database, run_id: UUID, leases: tuple[Lease, Lease]
) -> None:
    """Otherwise a transition could wait for ever, while there is always somebody who records."""
    with ThreadPoolExecutor(2) as beside:
        with database.transaction() as session:
            chunks.record(session, leases[0], [found(0)], LEASE_S)
            locking = beside.submit(
                in_transaction, database, lambda session: bool(lock_run(session, run_id)) and time.monotonic()
            )
            query_that_waits(database)
            recording = beside.submit(
                in_transaction,
                database,
                lambda session: (chunks.record(session, leases[1], [found(2)], LEASE_S), time.monotonic()),
            )
            wait_until(database, WAITING, rows=2)

        locked_at, recorded_at = locking.result(DEADLINE_S), recording.result(DEADLINE_S)[1]  # type: ignore[index]
    assert locked_at < recorded_at  # type: ignore[operator]


def wait_until(database: Database, query: str, rows: int = 1) -> None:
    """Wait until a query gives so many rows."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with database.transaction() as session:
            if len(session.execute(text(query)).all()) == rows:
                return
    raise AssertionError(f"not {rows} rows after {DEADLINE_S} s: {query}")


def test_a_chunk_whose_lease_is_being_renewed_is_not_leased_although_it_has_ended_for_others(
    database: Database, run_id: UUID, leases: tuple[Lease, Lease]
) -> None:
    first, second = leases
    expire(database, first, ended="clock_timestamp() + interval '0.3 seconds'")
    with database.transaction() as late:
        lock_run_for_recording(late, run_id)
        assert renew_leases(late, run_id, LOOKUP, first.worker, {first.number: first.token}, (), LEASE_S)
        wait_until(database, HAS_ENDED)
        with database.transaction() as session:
            run = chunks.record(session, second, [found(2)], LEASE_S)
            assert chunks.lease_several(session, run, LOOKUP, WORKER, LEASE_S, 1).leases == ()


def test_a_chunk_whose_lease_has_ended_is_leased_beside_a_task_that_records(
    database: Database, run_id: UUID, leases: tuple[Lease, Lease]
) -> None:
    first, second = leases
    expire(database, first)
    with database.transaction() as session:
        run = chunks.record(session, second, [found(2)], LEASE_S)
        (lease,) = chunks.lease_several(session, run, LOOKUP, WORKER, LEASE_S, 1).leases

    assert (lease.number, lease.token) == (first.number, first.token + 1)


def test_the_sweeper_does_not_wait_for_a_task_that_renews_its_lease_late(
    database: Database, run_id: UUID, leases: tuple[Lease, Lease]
) -> None:
    """The task wants the run's row next, which the sweeper holds."""
    first, second = leases
    expire(database, second)
    expire(database, first, ended="clock_timestamp() + interval '0.3 seconds'")
    with database.transaction() as late:
        lock_run_for_recording(late, run_id)
        assert renew_leases(late, run_id, LOOKUP, first.worker, {first.number: first.token}, (), LEASE_S)
        wait_until(database, HAS_ENDED)
        with database.transaction() as session:
            session.execute(text("SET LOCAL lock_timeout = '1s'"))
            assert [run.run_id for run in stalled.find_stalled(session)] == [run_id]


def test_two_outcomes_for_one_contact_count_once(database: Database, run_id: UUID, leases: tuple[Lease, Lease]) -> None:
    with database.transaction() as session:
        chunks.record(session, leases[0], [found(0), not_found(0)], LEASE_S)

    with database.transaction() as session:
        stage = stages_of_run(session, run_id)[0]
        recorded = count(session, "SELECT count(*) FROM outcomes WHERE run_id = :run_id", run_id=run_id)
    assert (stage.done, recorded) == (1, 1)
