"""Chunks: leased by one chunk task at a time, recorded once, fenced by their token."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import Database
from models.queries import events_of_run, stages_of_run
from pipeline.contacts import Contact
from pipeline.errors import LeaseLost
from pipeline.runs import chunks, lifecycle
from pipeline.runs.chunks import Lease
from pipeline.runs.poison import SUSPECT_ATTEMPTS
from pipeline.runs.trouble import Step, StepFailed
from tests.factories import (
    LEASE_S,
    LOOKUP,
    VERIFY,
    WORKER,
    count,
    expire,
    expired_chunk,
    finish_chunk,
    found,
    lease_chunk,
    leased_chunk,
    not_found,
    started_run,
)


def test_a_stage_is_cut_into_chunks_that_cover_each_contact_once(database: Database) -> None:
    run_id = started_run(database, count=7, chunk_size=3)

    leases = [leased_chunk(database, run_id) for _ in range(3)]

    covered = [p for lease in leases for p in range(lease.first_position, lease.last_position + 1)]
    assert covered == list(range(7))


def test_many_chunk_tasks_at_once_lease_each_chunk_once(database: Database) -> None:
    run_id = started_run(database, count=12, chunk_size=1)

    with ThreadPoolExecutor(8) as chunk_tasks:
        leases = list(chunk_tasks.map(lambda _: lease_chunk(database, run_id, max_tasks_per_run=12), range(20)))

    leased = [lease.number for lease in leases if lease]
    assert sorted(leased) == list(range(12))


def test_no_more_workers_than_allowed_work_a_run_and_each_as_many_chunks_as_it_can(database: Database) -> None:
    run_id = started_run(database, count=6, chunk_size=1)

    workers = [f"worker-{number}@test/1" for number in (1, 1, 2, 3, 2)]
    leases = [lease_chunk(database, run_id, worker=worker, max_tasks_per_run=2) for worker in workers]

    assert [lease is not None for lease in leases] == [True, True, True, False, True]


def test_a_chunk_whose_lease_ran_out_is_leased_again_under_a_higher_token(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=2)
    first = expired_chunk(database, run_id)

    second = leased_chunk(database, run_id, worker="worker-2@test/2")

    assert (second.number, second.token) == (first.number, first.token + 1)


def test_the_timeline_tells_who_lost_a_lease_and_who_leased_the_chunk_then(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=2)
    expired_chunk(database, run_id)
    leased_chunk(database, run_id, worker="worker-2@test/2")

    with database.transaction() as session:
        events = [(event.kind, event.worker, event.detail) for event in events_of_run(session, run_id)[-2:]]

    assert events == [
        ("lease_lost", WORKER, {"chunk": 0}),
        ("chunk_leased", "worker-2@test/2", {"chunk": 0}),
    ]


def test_a_lease_that_was_released_is_not_lost(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=2)
    lease = leased_chunk(database, run_id)
    with database.transaction() as session:
        chunks.release(session, lease, reason="the worker stops")
    leased_chunk(database, run_id)

    with database.transaction() as session:
        events = [
            (event.kind, event.worker, event.detail.get("reason")) for event in events_of_run(session, run_id)[-2:]
        ]

    assert events == [("chunk_released", WORKER, "the worker stops"), ("chunk_leased", WORKER, None)]


def release(session: Session, lease: Lease) -> None:
    chunks.release(session, lease, "the worker stops")


def pause(session: Session, lease: Lease) -> None:
    chunks.pause(session, lease, 5, "ENOSPC")


def finish(session: Session, lease: Lease) -> None:
    chunks.finish(session, lease, (), LEASE_S)


def fail_attempt(session: Session, lease: Lease) -> None:
    chunks.fail_attempt(session, lease, StepFailed(Step.LOAD, "database error 22003"))


@pytest.mark.parametrize("end", [finish, fail_attempt, release, pause])
@pytest.mark.parametrize(
    "is_done", [False, True], ids=["another chunk task took it over", "another chunk task finished it"]
)
def test_a_chunk_task_whose_lease_is_gone_can_not_end_the_chunk(
    database: Database, end: Callable[[Session, Lease], None], is_done: bool
) -> None:
    run_id = started_run(database, count=1, chunk_size=1)
    gone = expired_chunk(database, run_id)
    lease = leased_chunk(database, run_id)
    if is_done:
        finish_chunk(database, lease, [found(0)])
        gone = lease

    with suppress(LeaseLost), database.transaction() as session:
        end(session, gone)

    with database.transaction() as session:
        chunk = session.execute(text("SELECT status, token FROM run_chunks")).one()
        assert (chunk.status, chunk.token) == ("done" if is_done else "leased", lease.token)


@pytest.mark.parametrize("is_taken_over", [False, True], ids=["nobody took it over", "another chunk task took it over"])
def test_a_chunk_task_whose_lease_ran_out_can_not_write(database: Database, is_taken_over: bool) -> None:
    run_id = started_run(database, count=2, chunk_size=2)
    lease = expired_chunk(database, run_id)
    if is_taken_over:
        leased_chunk(database, run_id)

    with pytest.raises(LeaseLost), database.transaction() as session:
        chunks.record(session, lease, [found(0)], LEASE_S)

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM outcomes") == 0


def test_a_chunk_task_whose_lease_runs_out_in_the_middle_of_its_transaction_can_not_write(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=2)
    lease = leased_chunk(database, run_id)

    with pytest.raises(LeaseLost), database.transaction() as session:
        session.execute(text("SELECT now()"))
        expire(database, lease, "clock_timestamp()")
        chunks.record(session, lease, [found(0)], LEASE_S)


def test_a_lease_lasts_from_its_renewal_also_if_the_transaction_began_long_before(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=2)
    lease = leased_chunk(database, run_id)

    with database.transaction() as session:
        session.execute(text("SELECT now(), pg_sleep(0.2)"))
        chunks.record(session, lease, [], LEASE_S)
        left = session.execute(text("SELECT extract(epoch FROM lease_expires_at - now()) FROM run_chunks")).scalar_one()

    assert left > LEASE_S


def test_an_outcome_recorded_twice_is_counted_once_and_keeps_its_first_value(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=2)
    lease = leased_chunk(database, run_id)

    for outcome in (found(0), not_found(0), found(0)):
        with database.transaction() as session:
            chunks.record(session, lease, [outcome], LEASE_S)

    with database.transaction() as session:
        assert stages_of_run(session, run_id)[0].done == 1
        assert count(session, "SELECT count(*) FROM outcomes WHERE status = 'found'") == 1


def test_a_chunk_knows_which_addresses_of_its_domains_the_run_has_assigned(database: Database) -> None:
    run_id = started_run(database, count=4, chunk_size=2)
    finish_chunk(database, leased_chunk(database, run_id), [found(0), found(1, "other.test")])

    with database.transaction() as session:
        taken = chunks.load(session, lease_in(session, run_id)).taken

    assert taken == ["given.family0@alpha.test"]


def test_a_chunk_knows_who_else_works_at_its_domains_and_has_no_address_yet(database: Database) -> None:
    run_id = started_run(database, count=6, chunk_size=2)
    finish_chunk(database, leased_chunk(database, run_id), [found(0), not_found(1)])

    with database.transaction() as session:
        colleagues = chunks.load(session, lease_in(session, run_id)).colleagues

    assert [each.position for each in colleagues] == [1, 4, 5]


def test_what_is_left_of_a_chunk_excludes_what_is_recorded(database: Database) -> None:
    run_id = started_run(database, count=4, chunk_size=4)
    lease = leased_chunk(database, run_id)

    with database.transaction() as session:
        chunks.record(session, lease, [found(1), found(3)], LEASE_S)
        left = chunks.load(session, lease)

    assert [contact.position for contact in left.contacts] == [0, 2]


def test_a_later_stage_gets_the_address_and_the_evidence_of_the_earlier_one(database: Database) -> None:
    run_id = started_run(database, count=1, chunk_size=1)
    finish_chunk(database, leased_chunk(database, run_id), [found(0)])
    with database.transaction() as session:
        lifecycle.begin_stage(session, run_id, VERIFY, WORKER, 1)
    lease = leased_chunk(database, run_id, VERIFY)

    with database.transaction() as session:
        contact = chunks.load(session, lease).contacts[0]

    assert (contact.email, contact.evidence.reply.mail_host) == ("given.family0@alpha.test", "mx.alpha.test")


def test_confirmed_patterns_of_a_domain_are_known_to_later_chunks(database: Database) -> None:
    run_id = started_run(database, count=3, chunk_size=2)
    finish_chunk(database, leased_chunk(database, run_id), [found(0), found(1)])

    with database.transaction() as session:
        known = chunks.load(session, lease_in(session, run_id)).known_patterns

    assert [(p.pattern, p.confirmed) for p in known["alpha.test"]] == [("first.last", pytest.approx(2))]


def lease_in(session, run_id):  # type: ignore[no-untyped-def]
    from models.transitions import lock_run

    return next(iter(chunks.lease_next(session, lock_run(session, run_id), LOOKUP, WORKER, LEASE_S, 8).leases), None)


def test_a_chunk_released_is_no_failed_attempt(database: Database) -> None:
    run_id = started_run(database, count=1, chunk_size=1)

    for _ in range(SUSPECT_ATTEMPTS + 1):
        lease = leased_chunk(database, run_id)
        with database.transaction() as session:
            chunks.release(session, lease, reason="test")

    lease = leased_chunk(database, run_id)
    assert not lease.is_poison


def test_only_the_last_chunk_completes_the_stage(database: Database) -> None:
    run_id = started_run(database, count=3, chunk_size=2)
    first, second = leased_chunk(database, run_id), leased_chunk(database, run_id)

    completed = [
        finish_chunk(database, second, [found(2)]),
        finish_chunk(database, first, [found(0), not_found(1)]),
    ]

    assert completed == [False, True]


def test_nothing_is_recorded_for_a_run_that_is_over(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=2)
    lease = leased_chunk(database, run_id)
    with database.transaction() as session:
        session.execute(text("UPDATE runs SET status = 'cancelled', finished_at = now()"))

    with pytest.raises(LeaseLost, match="the run is over"), database.transaction() as session:
        chunks.record(session, lease, [found(0)], LEASE_S)


def test_adjacent_chunks_are_loaded_together_and_each_gets_its_own_contacts_and_their_colleagues(
    database: Database,
) -> None:
    run_id = started_run(database, count=5, chunk_size=2)
    leases = [leased_chunk(database, run_id) for _ in range(3)]

    with database.transaction() as session:
        together = chunks.load_several(session, leases)
        alone = {lease: chunks.load(session, lease) for lease in leases}

    assert {lease.number: positions(batch.contacts) for lease, batch in together.items()} == {
        0: [0, 1],
        1: [2, 3],
        2: [4],
    }
    assert {lease: sorted(positions(batch.colleagues)) for lease, batch in together.items()} == {
        lease: sorted(positions(batch.colleagues)) for lease, batch in alone.items()
    }


def positions(contacts: Sequence[Contact]) -> list[int]:
    return [contact.position for contact in contacts]
