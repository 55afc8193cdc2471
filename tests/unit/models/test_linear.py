"""No step of a run's life costs more than its size: what a chunk costs does not depend on how many there are, and what
concerns all contacts costs thirty times as much for thirty times as many.

On tables that were just filled and never analysed, so that the planner knows nothing of them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import Database, open_database
from models.queries import events_of_run, first_results, free_chunks, has_free_chunks, run_of_account, stream_results
from models.run import Run
from models.run_chunk import COMPILE
from models.schema import new_id
from models.transitions import RunError, expire_run, lock_run, touch_run
from pipeline.credits import RateCard
from pipeline.evidence import Evidence, ReplyEvidence
from pipeline.lookup.providers.journal import Question, Reserved
from pipeline.lookup.providers.source import NotFound
from pipeline.memory import lookups, provider_answers
from pipeline.memory.provider_answers import Caps
from pipeline.outcomes import Deferral, Outcome, Reason
from pipeline.privacy import erasure, retention, suppressions
from pipeline.privacy.erasure import Wanted
from pipeline.results import export_lease
from pipeline.runs import chunks, lifecycle, live_state, stalled
from pipeline.runs.chunks import Lease
from pipeline.runs.create import create_run
from pipeline.runs.deferrals import park
from pipeline.runs.retry import retry_run
from pipeline.runs.trouble import Step, StepFailed
from tests.clones import Clones
from tests.factories import (
    LEASE_S,
    LOOKUP,
    VERIFY,
    WORKER,
    account,
    found,
    not_found,
    order,
    pending_run,
    searched,
    valid,
)
from tests.large_runs import CHUNK, LargeRuns, large_runs, stop_autovacuum
from tests.meter import Meter

SMALL, LARGE = 1_000, 30_000
TIMES = LARGE // SMALL

Costs = Counter[tuple[str, str]]
Does = Callable[[Session, LargeRuns], object]
CAPS = Caps(per_run=Decimal(1_000_000), per_account_day=Decimal(1_000_000))


def leased(session: Session, run_id: UUID, stage: str) -> Lease:
    run = lock_run(session, run_id)
    assert run is not None
    (lease,) = chunks.lease_next(session, run, stage, WORKER, LEASE_S, max_tasks_per_run=5).leases
    return lease


def work_a_chunk(session: Session, run_id: UUID, stage: str) -> None:
    """A chain step's or a chunk task's transactions, one after the other."""
    lifecycle.begin_stage(session, run_id, stage, WORKER, CHUNK)
    lease = leased(session, run_id, stage)
    touch_run(session, run_id, LEASE_S)
    has_free_chunks(session, run_id, stage)
    park(session, run_id, stage)
    batch = chunks.load(session, lease)
    assert len(batch.contacts) == CHUNK
    run = chunks.record(session, lease, [outcome_of(stage, contact.position) for contact in batch.contacts], LEASE_S)
    live_state.build(session, run)
    chunks.finish(session, lease, (), LEASE_S)
    lifecycle.advance(session, run_id, stage, WORKER)


def outcome_of(stage: str, position: int) -> Outcome:
    if stage == LOOKUP:
        return searched(found(position), "alpha.test", position.to_bytes(32))
    reply = ReplyEvidence("accepted", "mx.alpha.test", 250)
    return valid(position)._replace(evidence=Evidence(reply, catch_all=False))


def leave_a_chunk(session: Session, large: LargeRuns) -> None:
    chunks.release(session, leased(session, large.looking_up, LOOKUP), "the worker stops")
    chunks.fail_attempt(session, leased(session, large.looking_up, LOOKUP), StepFailed(Step.WORK, "ValueError"))
    lease = leased(session, large.looking_up, LOOKUP)
    chunks.defer(session, lease, [Deferral(lease.first_position, 300, Reason.GREYLISTED)])
    chunks.pause(session, leased(session, large.looking_up, LOOKUP), 5, "ENOSPC")


def bisect_a_chunk(session: Session, large: LargeRuns) -> None:
    number = free_chunks(session, large.looking_up, LOOKUP, 1)[0].number
    broken = "UPDATE run_chunks SET attempts = 3 WHERE run_id = :run_id AND number = :number"
    session.execute(text(broken), {"run_id": large.looking_up, "number": number})
    lease = leased(session, large.looking_up, LOOKUP)
    assert lease.last_position - lease.first_position < CHUNK - 1


def sweep(session: Session, large: LargeRuns) -> None:
    at_rest = stalled.find_stalled(session)
    assert at_rest
    stalled.note_resent(session, [run.run_id for run in at_rest])
    stalled.unmark_resent(session, [run.run_id for run in at_rest])
    stalled.find_all_active(session)
    stalled.find_overdue(session, 48, 24)
    retention.find_expired(session, 30)


def ask_a_provider(session: Session, large: LargeRuns) -> None:
    account_id = provider_answers.account_of_run(session, large.looking_up)
    question = Question("example", b"0" * 32, Decimal(1), 60.0, may_ask_again=True, again_costs=Decimal(0))
    other = Question("example", b"1" * 32, Decimal(1), 60.0, may_ask_again=True, again_costs=Decimal(0))
    provider_answers.recall(session, account_id, [question])
    _, reserved = provider_answers.reserve(session, account_id, large.looking_up, [question, other], CAPS)
    provider_answers.record(session, account_id, large.looking_up, question, NotFound(cost=Decimal(1)))
    assert isinstance(reserved, Reserved)
    provider_answers.retract(session, account_id, other, reserved)


def change_the_list(session: Session, large: LargeRuns) -> None:
    entries = [suppressions.parse_entry(f"person{n}@example.test") for n in range(5)]
    suppressions.add(session, large.account_id, entries)
    suppressions.check(session, large.account_id, entries)
    suppressions.page(session, large.account_id, b"", 10)
    suppressions.remove(session, large.account_id, entries)


def read(session: Session, large: LargeRuns) -> None:
    for run_id in (large.looking_up, large.verifying, large.cancelled):
        run = run_of_account(session, run_id, large.account_id)
        assert run is not None
        live_state.build(session, run)
    first_results(session, large.cancelled, 20, LOOKUP, VERIFY)


def erase_one(session: Session, large: LargeRuns) -> None:
    wanted = Wanted()
    wanted.add_address("a41@d4.test")
    wanted.add_address("a901@d90.test")
    _, contacts = erasure.erase_contacts(session, large.verifying, 0, [42], wanted, new_id())
    assert contacts == 3
    erasure.forget_verdicts(session, large.account_id, wanted)
    erasure.forget_lookups(session, large.account_id, wanted)


def find_whom_to_erase(session: Session, large: LargeRuns) -> None:
    wanted = Wanted()
    wanted.add_address("a41@d4.test")
    for run_id, contacts in erasure.runs_with_data(session, large.account_id):
        for first in range(0, contacts, erasure.BATCH):
            erasure.read_batch(session, run_id, first)
    erasure.forget_answers(session, large.account_id, wanted)


def begin_and_plan(session: Session, large: LargeRuns) -> None:
    created = create_run(session, large.account_id, order(large.contacts), rate_card=RateCard())
    lifecycle.begin_stage(session, created.run_id, LOOKUP, WORKER, CHUNK)


def export(session: Session, large: LargeRuns) -> None:
    """All of it but the rows."""
    run = lock_run(session, large.cancelled)
    assert run is not None
    export_lease.ask_for_exports(session, run)
    lease = export_lease.lease_export(session, large.cancelled, WORKER, LEASE_S)
    assert lease is not None
    export_lease.renew_export(session, lease, LEASE_S)
    export_lease.finish_export(session, lease, [])
    export_lease.next_unexported(session, large.cancelled)


def stream(session: Session, large: LargeRuns) -> None:
    assert sum(map(len, stream_results(session, large.cancelled, LOOKUP, VERIFY))) == large.contacts


def complete(session: Session, large: LargeRuns) -> None:
    run = large.verifying
    session.execute(text("UPDATE run_stages SET status = 'completed', done = total WHERE run_id = :id"), {"id": run})
    lifecycle.begin_stage(session, run, COMPILE, WORKER, CHUNK)
    lifecycle.complete(session, leased(session, run, COMPILE), [])


def expire(session: Session, large: LargeRuns) -> None:
    run = lock_run(session, large.cancelled)
    assert run is not None
    retention.retract(session, run)
    for first in range(0, large.contacts, retention.BATCH):
        retention.delete_contacts(session, large.cancelled, first)
    assert expire_run(session, large.cancelled)


SAME: Mapping[str, Does] = {
    "work a chunk of look-ups": lambda session, large: work_a_chunk(session, large.looking_up, LOOKUP),
    "work a chunk of verifications": lambda session, large: work_a_chunk(session, large.verifying, VERIFY),
    "leave a chunk": leave_a_chunk,
    "bisect a chunk": bisect_a_chunk,
    "sweep": sweep,
    "ask a provider": ask_a_provider,
    "change the suppression list": change_the_list,
    "read": read,
    "export, but for the rows": export,
}
LINEAR: Mapping[str, Does] = {
    "erase": erase_one,
    "find whom to erase": find_whom_to_erase,
    "create and plan": begin_and_plan,
    "stream": stream,
    "complete": complete,
    "cancel": lambda session, large: lifecycle.cancel(session, large.account_id, large.looking_up),
    "fail": lambda session, large: lifecycle.fail(session, large.verifying, RunError("code", "A sentence.", VERIFY)),
    "retry": lambda session, large: retry_run(session, large.account_id, large.cancelled),
    "expire": expire,
    "show the timeline": lambda session, large: events_of_run(session, large.looking_up),
    # Without statistics, the planner does not know how few of the finished runs lack their files: it looks at each.
    "find what to export": lambda session, _: export_lease.find_unexported(session),
    "count the list": lambda session, large: suppressions.count(session, large.account_id),
}
"""What is about all contacts of a run, or of an account."""


@pytest.fixture(scope="module")
def meters(clones: Clones) -> Iterator[tuple[Meter, Meter]]:
    """What each step costs at both sizes. Colleagues are looked for nearer than usual, so that both have as many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookups, "REACH", 200)
        patch.setattr(lookups, "NEAR", 50)
        yield measured(clones, SMALL), measured(clones, LARGE)


def measured(clones: Clones, contacts: int) -> Meter:
    with clones.new() as url, closing(open_database(url, pool_size=1)) as database:
        stop_autovacuum(database)
        large = large_runs(database, contacts)
        meter = Meter(database)
        for step, does in (SAME | LINEAR).items():
            with meter.measured(step) as session:
                does(session, large)
        return meter


@pytest.mark.parametrize("step", SAME)
def test_a_step_costs_the_same_however_large_its_run_is(meters: tuple[Meter, Meter], step: str) -> None:
    """But for the height of the indexes: each look into one reads a block or two more."""
    small, large = meters

    assert too_much(small.blocks, large.blocks, step, times=3, more=20) == {}
    assert too_much(small.rows, large.rows, step, times=1.5, more=10) == {}


@pytest.mark.parametrize("step", LINEAR)
def test_what_concerns_all_contacts_costs_no_more_for_each_of_them(meters: tuple[Meter, Meter], step: str) -> None:
    small, large = meters

    assert too_much(small.blocks, large.blocks, step, times=1.5 * TIMES, more=20) == {}
    assert too_much(small.rows, large.rows, step, times=1.5 * TIMES, more=10) == {}


def cancel_and_retry(session: Session, owner: UUID, run_id: UUID) -> None:
    lifecycle.cancel(session, owner, run_id)
    retry_run(session, owner, run_id)


def erase_all(session: Session, _owner: UUID, run_id: UUID) -> None:
    everybody = range(session.get_one(Run, run_id).contact_count)
    erasure.erase_contacts(session, run_id, 0, everybody, Wanted(), new_id())


def record_all(session: Session, _owner: UUID, run_id: UUID) -> None:
    session.execute(text("DELETE FROM outcomes WHERE run_id = :run_id"), {"run_id": run_id})
    lifecycle.begin_stage(session, run_id, LOOKUP, WORKER, 10_000)
    lease = leased(session, run_id, LOOKUP)
    chunks.record(session, lease, [not_found(position) for position in range(lease.last_position + 1)], LEASE_S)


def defer_all(session: Session, _owner: UUID, run_id: UUID) -> None:
    lifecycle.begin_stage(session, run_id, LOOKUP, WORKER, 10_000)
    lease = leased(session, run_id, LOOKUP)
    everybody = range(lease.last_position + 1)
    chunks.defer(session, lease, [Deferral(position, 300, Reason.GREYLISTED) for position in everybody])


@pytest.mark.parametrize("does", [cancel_and_retry, erase_all, record_all, defer_all])
def test_a_session_that_began_with_small_runs_does_no_more_for_a_large_one(
    new_database: Database, does: Callable[[Session, UUID, UUID], None]
) -> None:
    """Nothing analyses the tables: what such a session knows of them is from when they were nearly empty."""
    stop_autovacuum(new_database)
    owner = account(new_database, credits_granted=100_000).account_id
    small = [worked_run(new_database, owner, contacts=2) for _ in range(12)]
    for run_id in small:
        with new_database.transaction() as session:
            does(session, owner, run_id)
    large = worked_run(new_database, owner, contacts=1_000)

    with closing(open_database(new_database.engine.url.render_as_string(hide_password=False), pool_size=1)) as fresh:
        costs = [blocks_of(each, lambda session: does(session, owner, large)) for each in (fresh, new_database)]

    assert costs[1] <= 1.2 * costs[0]


def worked_run(database: Database, owner: UUID, contacts: int) -> UUID:
    run_id = pending_run(database, contacts, account_id=owner)
    done = (
        "INSERT INTO outcomes (run_id, stage, position, status, reason, score, evidence) "
        "SELECT run_id, 'email_lookup', position, 'not_found', 'syntax', 0, '{}' FROM contacts WHERE run_id = :run_id"
    )
    with database.transaction() as session:
        session.execute(text(done), {"run_id": run_id})
    return run_id


def blocks_of(database: Database, does: Callable[[Session], None]) -> int:
    meter = Meter(database)
    with meter.measured("once") as session:
        does(session)
    return meter.blocks["once", "in all"]


def too_much(small: Costs, large: Costs, step: str, times: float, more: int) -> dict[str, tuple[int, int]]:
    """The statements of a step that cost more than so many times as much, with both costs."""
    costs = {name: (small[of, name], large[of, name]) for of, name in large if of == step}
    return {name: (before, after) for name, (before, after) in costs.items() if after > times * before + more}
