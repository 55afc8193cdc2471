"""The state machine of a run: whatever is delivered twice, lost, expired, cancelled or crashed, in any order, each
contact is counted once, each credit moved once, and in the end the run is over by itself."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import Database
from models.queries import other_workers, stages_of_run
from models.run import Run
from models.run_chunk import COMPILE
from models.status import TERMINAL_RUN_STATUSES
from models.transitions import RunError
from pipeline.errors import ChunkExhausted, LeaseLost, RunStateConflict
from pipeline.outcomes import Deferral, Outcome, Reason
from pipeline.runs import chunks, lifecycle, stalled
from pipeline.runs.chunks import Lease
from pipeline.runs.lifecycle import Beginning
from pipeline.runs.progress import StageCount, percent
from pipeline.runs.trouble import Step, StepFailed
from tests.factories import (
    LEASE_S,
    LOOKUP,
    VERIFY,
    WORKER,
    account,
    count,
    expire,
    found,
    lease_chunk,
    pending_run,
    skipped,
    valid,
)

pytestmark = pytest.mark.proof

CONTACTS, CHUNK, MAX_TASKS_PER_RUN, WORKERS = 7, 3, 2, 3
CHAIN = (LOOKUP, VERIFY, COMPILE)
OUTCOME = {LOOKUP: found, VERIFY: valid, COMPILE: skipped}


class AnyInterleaving(RuleBasedStateMachine):
    """Chunk tasks, chain steps, the sweeper and the client take their steps in any order."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.leases: list[Lease] = []
        self.percent = 0
        self.ended_as: tuple[str, int] | None = None

    @initialize()
    def create(self) -> None:
        self.account_id = account(self.database, credits_granted=1000).account_id
        self.run_id = pending_run(self.database, count=CONTACTS, account_id=self.account_id)

    # What workers do

    @rule()
    def deliver_the_chain(self) -> None:
        """Step after step, as Celery does, until one ends its copy."""
        for stage in CHAIN:
            with self.database.transaction() as session:
                beginning = lifecycle.begin_stage(session, self.run_id, stage, WORKER, CHUNK)
            if beginning is Beginning.WORK:
                self.lease_chunk(stage)
            if beginning is not Beginning.DONE:
                return

    @rule()
    def work_all_that_can_be_leased(self) -> None:
        for _ in range(CONTACTS):
            before = len(self.leases)
            self.deliver_the_chain()
            if len(self.leases) == before:
                return
            self.finish_lease(self.leases[-1])

    @rule(stage=st.sampled_from(CHAIN))
    def deliver_a_late_chain_step(self, stage: str) -> None:
        with self.database.transaction() as session:
            beginning = lifecycle.begin_stage(session, self.run_id, stage, WORKER, CHUNK)
        if beginning is Beginning.WORK:
            self.lease_chunk(stage)

    def lease_chunk(self, stage: str) -> None:
        try:
            worker = f"worker-{len(self.leases) % WORKERS}@test/1"
            lease = lease_chunk(self.database, self.run_id, stage, worker, MAX_TASKS_PER_RUN)
        except ChunkExhausted:
            with self.database.transaction() as session:
                lifecycle.fail(session, self.run_id, RunError("stage_failed", "Again and again.", stage))
            return
        if lease:
            self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), size=st.integers(0, CHUNK))
    def checkpoint(self, data: st.DataObject, size: int) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        if lease.stage != COMPILE:
            self.record(lease, self.left_of(lease)[:size])

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def checkpoint_what_is_there_already(self, data: st.DataObject) -> None:
        """As a chunk task does whose transaction was committed, but which does not know it."""
        lease = data.draw(st.sampled_from(self.leases))
        if lease.stage != COMPILE:
            span = range(lease.first_position, lease.last_position + 1)
            self.record(lease, [OUTCOME[lease.stage](position) for position in span])

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        self.finish_lease(data.draw(st.sampled_from(self.leases)))

    def finish_lease(self, lease: Lease) -> None:
        """Also with a lease that is gone, and also twice: as a chunk task does that was stopped and wakes up."""
        outcomes = [] if lease.stage == COMPILE else self.left_of(lease)

        def finish(session: Session) -> None:
            if lease.stage == COMPILE:
                lifecycle.complete(session, lease, [])
            else:
                chunks.finish(session, lease, outcomes, LEASE_S)
                lifecycle.advance(session, self.run_id, lease.stage, WORKER)

        self.write(lease, finish)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def defer(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        left = self.left_of(lease)
        if lease.stage != COMPILE and left:
            deferrals = [Deferral(outcome.position, 300, Reason.GREYLISTED) for outcome in left]

            def defer(session: Session) -> None:
                chunks.record(session, lease, [], LEASE_S)
                chunks.defer(session, lease, deferrals)

            self.write(lease, defer)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        with self.database.transaction() as session:
            chunks.release(session, lease, "the worker stops")

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def fail_a_step(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases))

        def fail_attempt(session: Session) -> None:
            chunks.record(session, lease, (), LEASE_S)
            chunks.fail_attempt(session, lease, StepFailed(Step.LOAD, "database error 22003"))

        self.write(lease, fail_attempt)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.leases))
        if self.holds(lease):
            expire(self.database, lease)

    # What the sweeper and the client do

    @rule()
    def time_passes_and_the_sweeper_looks(self) -> None:
        with self.database.transaction() as session:
            due = "UPDATE runs SET resend_at = now(), parked_until = NULL WHERE id = :id"
            session.execute(text(due), {"id": self.run_id})
            session.execute(
                text("UPDATE run_chunks SET not_before = now() WHERE run_id = :id AND not_before IS NOT NULL"),
                {"id": self.run_id},
            )
            found_stalled = self.run_id in {run.run_id for run in stalled.find_stalled(session)}
            assert not (found_stalled and self.status(session) in TERMINAL_RUN_STATUSES)

    @rule(die=st.integers(1, 4))
    def cancel(self, die: int) -> None:
        """Now and then: a run that is cancelled early shows little else. All tasks come to their end soon after it."""
        if die != 3:
            return
        self.deliver_the_chain()
        try:
            with self.database.transaction() as session:
                lifecycle.cancel(session, self.account_id, self.run_id)
        except RunStateConflict:
            return
        self.ended_as = ("cancelled", self.outcomes())
        for lease in self.leases:
            self.finish_lease(lease)

    # What must always hold

    @invariant()
    def a_run_that_is_over_leaves_no_chunk_behind(self) -> None:
        left = "SELECT count(*) FROM run_chunks WHERE run_id = :r AND status IN ('open', 'leased')"
        with self.database.transaction() as session:
            if self.status(session) in TERMINAL_RUN_STATUSES:
                assert count(session, left, r=self.run_id) == 0

    @invariant()
    def the_waiting_are_counted_where_they_wait(self) -> None:
        by_chunk = "SELECT coalesce(sum(waiting), 0) FROM run_chunks WHERE run_id = :r"
        by_stage = "SELECT coalesce(sum(waiting), 0) FROM run_stages WHERE run_id = :r"
        with self.database.transaction() as session:
            assert count(session, by_chunk, r=self.run_id) == count(session, by_stage, r=self.run_id)

    @invariant()
    def each_contact_is_counted_once(self) -> None:
        with self.database.transaction() as session:
            for stage in stages_of_run(session, self.run_id):
                query = "SELECT count(*) FROM outcomes WHERE run_id = :r AND stage = :s"
                assert stage.done == count(session, query, r=self.run_id, s=stage.stage) <= CONTACTS

    @invariant()
    def each_credit_moves_once(self) -> None:
        with self.database.transaction() as session:
            balance = count(session, "SELECT credit_balance FROM accounts WHERE id = :a", a=self.account_id)
            ledger = "SELECT sum(credits) FROM credit_ledger WHERE account_id = :a"
            kinds = "SELECT count(*) FROM credit_ledger WHERE run_id = :r AND kind = :k"
            over = self.status(session) in TERMINAL_RUN_STATUSES
            assert balance == count(session, ledger, a=self.account_id)
            assert count(session, kinds, r=self.run_id, k="charge") == 1
            assert count(session, kinds, r=self.run_id, k="rebate") == int(over)

    @invariant()
    def the_percent_never_falls(self) -> None:
        with self.database.transaction() as session:
            rows = stages_of_run(session, self.run_id)
            now = percent(self.status(session), [StageCount(r.stage, r.status, r.done, r.total) for r in rows])
        assert now >= self.percent
        self.percent = now

    @invariant()
    def stages_follow_one_another(self) -> None:
        with self.database.transaction() as session:
            statuses = [row.status for row in stages_of_run(session, self.run_id)]
            completed = self.status(session) == "completed"
        unfinished = next((n for n, status in enumerate(statuses) if status != "completed"), len(statuses))
        assert set(statuses[unfinished + 1 :]) <= {"pending"}
        assert not completed or unfinished == len(statuses)

    @invariant()
    def no_more_workers_are_at_work_than_allowed(self) -> None:
        with self.database.transaction() as session:
            assert other_workers(session, self.run_id, "nobody else") <= MAX_TASKS_PER_RUN

    @invariant()
    def what_is_over_stays_as_it_is(self) -> None:
        with self.database.transaction() as session:
            status = self.status(session)
        outcomes = self.outcomes()
        if self.ended_as is None and status in TERMINAL_RUN_STATUSES:
            self.ended_as = (status, outcomes)
        assert self.ended_as in (None, (status, outcomes))

    def teardown(self) -> None:
        """All workers die; then nothing but the sweeper's chain is needed to end the run."""
        if not hasattr(self, "run_id"):
            return
        for _ in range(60):
            with self.database.transaction() as session:
                if self.status(session) in TERMINAL_RUN_STATUSES:
                    return
                session.execute(
                    text("UPDATE run_chunks SET lease_expires_at = now() WHERE run_id = :r AND status = 'leased'"),
                    {"r": self.run_id},
                )
            self.time_passes_and_the_sweeper_looks()
            self.leases.clear()
            for stage in CHAIN:
                self.deliver_a_late_chain_step(stage)
            for lease in self.leases:
                self.finish_lease(lease)
        raise AssertionError("the run did not end by itself")

    def outcomes(self) -> int:
        with self.database.transaction() as session:
            return count(session, "SELECT count(*) FROM outcomes WHERE run_id = :r", r=self.run_id)

    def left_of(self, lease: Lease) -> Sequence[Outcome]:
        with self.database.transaction() as session:
            return [OUTCOME[lease.stage](contact.position) for contact in chunks.load(session, lease).contacts]

    def record(self, lease: Lease, outcomes: Sequence[Outcome]) -> None:
        self.write(lease, lambda session: chunks.record(session, lease, outcomes, LEASE_S))

    def write(self, lease: Lease, step: Callable[[Session], object]) -> None:
        """A chunk task writes if, and only if, it holds its lease, and its run goes on."""
        may_write = self.holds(lease)
        try:
            with self.database.transaction() as session:
                step(session)
        except LeaseLost:
            assert not may_write
        else:
            assert may_write

    def holds(self, lease: Lease) -> bool:
        is_mine = (
            "SELECT count(*) FROM run_chunks c JOIN runs r ON r.id = c.run_id AND r.status = 'running'"
            " WHERE c.run_id = :r AND c.stage = :s AND c.number = :n AND c.token = :t"
            " AND c.status = 'leased' AND c.lease_expires_at > now()"
        )
        with self.database.transaction() as session:
            return bool(count(session, is_mine, r=self.run_id, s=lease.stage, n=lease.number, t=lease.token))

    def status(self, session: Session) -> str:
        return session.get_one(Run, self.run_id, populate_existing=True).status


@pytest.mark.timeout(600)
def test_any_interleaving_keeps_the_invariants(database: Database) -> None:
    run_state_machine_as_test(
        lambda: AnyInterleaving(database),
        settings=settings(
            max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
