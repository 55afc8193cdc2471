"""Turns: the bookkeeping of a task, one transaction for all of its chunks."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from models.queries import has_free_chunks, other_workers
from models.run import Run
from models.transitions import lock_run
from pipeline.contacts import Batch
from pipeline.outcomes import Deferral, Outcome
from pipeline.results.links import Links
from pipeline.runs import chunks, lifecycle, live_state, trouble
from pipeline.runs.chunks import Lease, Leased
from pipeline.runs.live_state import LiveState
from pipeline.runs.trouble import Step
from worker.commit_retry import retry_commit, retry_commit_of_turn
from worker.process import Process, freshness_of

PUBLISH_EACH_S = 0.1
"""Live copies of a run that goes on are not written more often than anybody reads them."""


@dataclass(frozen=True, slots=True)
class StageLeft:
    """What is left of a stage after a task's work."""

    complete: bool
    has_free_chunks: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """What a turn does with one chunk: it records these outcomes, and may end the lease."""

    lease: Lease
    outcomes: Sequence[Outcome] = ()
    deferrals: Sequence[Deferral] = ()
    is_worked: bool = False
    released_for: str = ""
    """Why the rest of the chunk is left to others."""

    @property
    def ends(self) -> bool:
        """Whether the lease ends."""
        return self.is_worked or bool(self.released_for)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn did."""

    left: StageLeft
    lost: Sequence[Lease] = ()
    """Leases that had ended: of their chunks nothing was recorded."""
    leases: Sequence[Lease] = ()
    state: LiveState | None = None


@dataclass(slots=True)
class Bookkeeper:
    """Does the turns of one stage of a run for one worker."""

    process: Process
    run_id: UUID
    stage: str
    worker: str
    _publish_at: float = 0.0

    @property
    def work(self) -> str:
        """The name of the work for the log."""
        return f"run {self.run_id}, stage {self.stage}"

    def take_turn(self, entries: Sequence[Entry], wanted: int, suspects: Sequence[int]) -> Turn:
        """Record, end leases, and lease up to `wanted` further chunks. Raises `LeaseLost` if the run is over."""
        ended = [entry.lease for entry in entries if entry.ends]
        with trouble.step(Step.FINISH if ended else Step.RECORD):
            return retry_commit_of_turn(
                self.process,
                self.work,
                lambda session: self._book(session, entries, wanted, suspects),
                ended,
                lambda turn: turn.leases,
            )

    def lease(self, wanted: int, suspects: Sequence[int]) -> Turn:
        """Lease up to `wanted` chunks."""
        with trouble.step(Step.LEASE):
            return retry_commit_of_turn(
                self.process,
                self.work,
                lambda session: self._lease_more(session, wanted, suspects),
                (),
                lambda turn: turn.leases,
            )

    def is_alone(self) -> bool:
        """Whether no other worker holds a chunk of the run."""
        return retry_commit(
            self.process, self.work, lambda session: not other_workers(session, self.run_id, self.worker)
        )

    def load(self, leases: Sequence[Lease]) -> Mapping[Lease, Batch]:
        """The contacts of leased chunks. Those of poison chunks are not read."""
        freshness = freshness_of(self.process.settings)
        readable = [lease for lease in leases if not lease.is_poison]

        def step(session: Session) -> Mapping[Lease, Batch]:
            poison = {lease: Batch(()) for lease in leases if lease.is_poison}
            return poison | dict(chunks.load_several(session, readable, freshness))

        with trouble.step(Step.LOAD):
            return retry_commit(self.process, self.work, step)

    def _book(self, session: Session, entries: Sequence[Entry], wanted: int, suspects: Sequence[int]) -> Turn:
        outcomes_of = {entry.lease: entry.outcomes for entry in entries}
        worked = [entry.lease for entry in entries if entry.is_worked and not entry.deferrals]
        with trouble.step(Step.RECORD):
            run, lost = chunks.record_several(session, outcomes_of, self.process.settings.lease_seconds, worked)
        held = [entry for entry in entries if entry.lease not in lost]
        self._leave(session, held)
        complete = self._advance(session) if worked else False
        leased = self._lease(session, run, wanted, suspects) if wanted and not complete else Leased()
        left = StageLeft(complete, not complete and self._has_free_chunks(session, leased))
        is_last = complete or all(entry.ends for entry in held)
        state = self._state(session, run) if is_last else self._state_if_due(session, run)
        return Turn(left, list(lost), leased.leases, state)

    def _leave(self, session: Session, entries: Sequence[Entry]) -> None:
        """Leave the rest of these chunks to others, or to later."""
        for entry in entries:
            if entry.released_for:
                chunks.release(session, entry.lease, entry.released_for)
            elif entry.is_worked and entry.deferrals:
                chunks.defer(session, entry.lease, entry.deferrals)

    def _advance(self, session: Session) -> bool:
        with trouble.step(Step.ADVANCE):
            return lifecycle.advance(session, self.run_id, self.stage, self.worker)

    def _lease(self, session: Session, run: Run, wanted: int, suspects: Sequence[int]) -> Leased:
        seconds = self.process.settings.lease_seconds
        with trouble.step(Step.LEASE):
            return chunks.lease_several(session, run, self.stage, self.worker, seconds, wanted, suspects)

    def _lease_more(self, session: Session, wanted: int, suspects: Sequence[int]) -> Turn:
        run = lock_run(session, self.run_id)
        leased = self._lease(session, run, wanted, suspects) if run else Leased()
        left = StageLeft(complete=False, has_free_chunks=self._has_free_chunks(session, leased))
        return Turn(left, leases=leased.leases)

    def _state_if_due(self, session: Session, run: Run) -> LiveState | None:
        return self._state(session, run) if time.monotonic() >= self._publish_at else None

    def _state(self, session: Session, run: Run) -> LiveState:
        self._publish_at = time.monotonic() + PUBLISH_EACH_S
        return live_state.build(session, run, Links.of(self.process.settings))

    def _has_free_chunks(self, session: Session, leased: Leased) -> bool:
        """Whether the stage has free chunks. Who leased some has seen whether there are others."""
        return leased.others > 0 if leased.leases else has_free_chunks(session, self.run_id, self.stage)
