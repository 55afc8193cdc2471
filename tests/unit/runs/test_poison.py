"""A chunk that breaks its task again and again is cut down to the contact at fault; the rest is worked."""

from collections.abc import Iterable
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from models.database import Database
from models.queries import events_of_run
from models.run_chunk import COMPILE
from pipeline.errors import ChunkExhausted
from pipeline.runs import chunks, lifecycle
from pipeline.runs.chunks import Lease
from pipeline.runs.poison import MAX_ATTEMPTS, POISON_ATTEMPTS, SUSPECT_ATTEMPTS, SUSPECTS_AT_ONCE, may_join
from pipeline.runs.trouble import Step, StepFailed
from tests.factories import (
    LEASE_S,
    LOOKUP,
    VERIFY,
    WORKER,
    expire,
    expired_chunk,
    finish_chunk,
    found,
    lease_chunk,
    leased_chunk,
    let_pauses_pass,
    pending_run,
    skipped,
    started_run,
)

CULPRIT = 137


def test_two_broken_attempts_may_be_chance(database: Database) -> None:
    run_id = started_run(database, count=40, chunk_size=40)
    for _ in range(SUSPECT_ATTEMPTS - 1):
        expired_chunk(database, run_id)

    lease = leased_chunk(database, run_id)

    assert (lease.first_position, lease.last_position) == (0, 39)


def test_a_suspect_chunk_is_cut_into_pieces_that_cover_what_is_undone_once(database: Database) -> None:
    run_id = started_run(database, count=40, chunk_size=40)
    lease = leased_chunk(database, run_id)
    with database.transaction() as session:
        chunks.record(session, lease, [found(n) for n in range(0, 40, 2)], LEASE_S)
    expire(database, lease)
    for _ in range(SUSPECT_ATTEMPTS - 1):
        expired_chunk(database, run_id)

    pieces = [leased_chunk(database, run_id) for _ in range(10)]

    assert lease_chunk(database, run_id, max_tasks_per_run=99) is None
    with database.transaction() as session:
        undone = [contact.position for piece in pieces for contact in chunks.load(session, piece).contacts]
    assert sorted(undone) == list(range(1, 40, 2))


def test_a_suspect_pair_is_cut_however_many_attempts_it_had(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=2)
    with database.transaction() as session:
        session.execute(text("UPDATE run_chunks SET attempts = :attempts"), {"attempts": MAX_ATTEMPTS + 1})

    pieces = [leased_chunk(database, run_id) for _ in range(2)]

    assert sorted((piece.first_position, piece.last_position) for piece in pieces) == [(0, 0), (1, 1)]
    assert not any(piece.is_poison for piece in pieces)


def test_the_lease_of_a_poison_contact_is_of_that_contact_alone(database: Database) -> None:
    run_id = started_run(database, count=5, chunk_size=5)
    lease = leased_chunk(database, run_id)
    with database.transaction() as session:
        chunks.record(session, lease, [found(n) for n in (0, 1, 2, 4)], LEASE_S)
        session.execute(text("UPDATE run_chunks SET attempts = :attempts"), {"attempts": POISON_ATTEMPTS})
    expire(database, lease)

    poison = leased_chunk(database, run_id)

    assert (poison.is_poison, poison.first_position, poison.last_position) == (True, 3, 3)


def work_unless_culprit(database: Database, lease: Lease) -> list[int]:
    """A chunk task that dies on one contact; gives the positions that it finished."""
    with database.transaction() as session:
        positions = [contact.position for contact in chunks.load(session, lease).contacts]
    if lease.is_poison:
        finish_chunk(database, lease, [skipped(position) for position in positions])
    elif CULPRIT in positions:
        expire(database, lease)
    else:
        finish_chunk(database, lease, [found(position) for position in positions])
        return positions
    return []


def test_one_contact_that_kills_its_chunk_task_costs_that_contact_and_few_attempts(database: Database) -> None:
    run_id = started_run(database, count=200, chunk_size=200)

    worked: list[int] = []
    broken = 0
    while (lease := lease_chunk(database, run_id)) is not None:
        before = len(worked)
        worked += work_unless_culprit(database, lease)
        broken += len(worked) == before and not lease.is_poison

    assert sorted(worked) == [position for position in range(200) if position != CULPRIT]
    cuts = 3
    assert broken == POISON_ATTEMPTS + cuts
    with database.transaction() as session:
        assert lifecycle.begin_stage(session, run_id, LOOKUP, WORKER, 200) is lifecycle.Beginning.DONE
        assert "chunk_split" in {event.kind for event in events_of_run(session, run_id)}


def test_a_slow_contact_that_is_in_hand_whenever_a_worker_is_killed_is_not_poison_at_once(database: Database) -> None:
    run_id = started_run(database, count=20, chunk_size=20)
    lease = leased_chunk(database, run_id)
    with database.transaction() as session:
        chunks.record(session, lease, [found(n) for n in range(19)], LEASE_S)
    expire(database, lease)
    for _ in range(POISON_ATTEMPTS - 2):
        expired_chunk(database, run_id)

    assert not leased_chunk(database, run_id).is_poison


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contacts=st.integers(1, 60), attempts=st.integers(0, MAX_ATTEMPTS - 1), data=st.data())
def test_of_a_chunk_with_a_poison_contact_that_contact_alone_is_skipped(
    database: Database, contacts: int, attempts: int, data: st.DataObject
) -> None:
    """Whatever the chunk's size, however often it was tried already, and whichever of its contacts were worked then."""
    culprit = data.draw(st.integers(0, contacts - 1))
    worked = data.draw(st.sets(st.integers(0, contacts - 1))) - {culprit}
    dies = data.draw(st.booleans())
    run_id = started_run(database, count=contacts, chunk_size=contacts)
    finish_some(database, leased_chunk(database, run_id), worked, attempts)

    skipped_ones: list[int] = []
    while (lease := lease_chunk(database, run_id)) is not None:
        with database.transaction() as session:
            left = [contact.position for contact in chunks.load(session, lease).contacts]
        if lease.is_poison:
            skipped_ones += left
        elif culprit in left:
            break_task(database, lease, dies)
            continue
        finish_chunk(database, lease, [skipped(n) if lease.is_poison else found(n) for n in left])

    assert skipped_ones == [culprit]
    with database.transaction() as session:
        assert lifecycle.begin_stage(session, run_id, LOOKUP, WORKER, contacts) is lifecycle.Beginning.DONE


def finish_some(database: Database, lease: Lease, positions: Iterable[int], attempts: int) -> None:
    """Record these contacts; then let the chunk have failed so many attempts, and its lease run out."""
    with database.transaction() as session:
        chunks.record(session, lease, [found(position) for position in positions], LEASE_S)
        session.execute(
            text("UPDATE run_chunks SET attempts = :attempts WHERE run_id = :run_id"),
            {"attempts": attempts, "run_id": lease.run_id},
        )
    expire(database, lease)


def break_task(database: Database, lease: Lease, dies: bool) -> None:
    if dies:
        expire(database, lease)
        return
    with database.transaction() as session:
        chunks.fail_attempt(session, lease, StepFailed(Step.WORK, "internal error ValueError"))
    let_pauses_pass(database)


def compiling(database: Database) -> UUID:
    run_id = pending_run(database, count=1)
    for stage in (LOOKUP, VERIFY, COMPILE):
        with database.transaction() as session:
            lifecycle.begin_stage(session, run_id, stage, WORKER, 1)
        if stage != COMPILE:
            finish_chunk(database, leased_chunk(database, run_id, stage), [skipped(0)])
    return run_id


def test_compiling_that_never_succeeds_uses_up_its_attempts(database: Database) -> None:
    run_id = compiling(database)
    for _ in range(MAX_ATTEMPTS):
        expired_chunk(database, run_id, COMPILE)

    with pytest.raises(ChunkExhausted, match=str(run_id)):
        lease_chunk(database, run_id, COMPILE)


def test_a_piece_that_broke_for_good_is_numbered_after_the_others(database: Database) -> None:
    run_id = started_run(database, count=40, chunk_size=20)
    for _ in range(SUSPECT_ATTEMPTS):
        expired_chunk(database, run_id)
    leased_chunk(database, run_id)

    with database.transaction() as session:
        numbers = session.execute(text("SELECT number FROM run_chunks ORDER BY number")).scalars().all()
    assert numbers == list(range(2 + 9))


@pytest.mark.parametrize(
    ("attempts", "suspects", "joins"),
    [
        (0, [], True),
        (0, [3], True),
        (1, [1] * (SUSPECTS_AT_ONCE - 1), True),
        (1, [1] * SUSPECTS_AT_ONCE, False),
        (1, [2], False),
        (2, [], True),
        (2, [1], False),
        (5, [5], False),
    ],
)
def test_a_process_works_few_suspects_at_once_and_one_that_broke_its_task_twice_without_another(
    attempts: int, suspects: list[int], joins: bool
) -> None:
    assert may_join(attempts, suspects) is joins
