"""What this process remembers of the runs that people look at: counts of outcomes, and how fast runs advance.

Counting reads all outcomes of a run. So an active run is counted again after twenty times as long as counting took:
however large it is, watching it costs a twentieth of one connection at most.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple, TypeVar, cast
from uuid import UUID

from sqlalchemy.orm import Session

from models.run import Run
from models.status import TERMINAL_RUN_STATUSES
from pipeline.results.counts import OutcomeGroup, count_outcomes

MOST_RUNS = 500
NOT_FASTER_THAN_S = 0.5
PAUSE_FACTOR = 20
WINDOW_S = 30.0
SHORTEST_SPAN_S = 2.0


T = TypeVar("T")


class _Counted(NamedTuple):
    version: int
    at: float
    cost_s: float
    found: Any


class _Sample(NamedTuple):
    at: float
    done: int


@dataclass(slots=True)
class Memory:
    """The memory of a process. Threads share it."""

    clock: Callable[[], float] = time.monotonic
    lock: Lock = field(default_factory=Lock)
    counted: OrderedDict[tuple[UUID, str], _Counted] = field(default_factory=OrderedDict)
    samples: OrderedDict[tuple[UUID, str], deque[_Sample]] = field(default_factory=OrderedDict)

    def groups_of(self, session: Session, run: Run) -> Sequence[OutcomeGroup]:
        """The run's outcomes, grouped: as they are, or for an active run as they were a moment ago."""
        return self.counted_of(run, "outcomes", lambda: count_outcomes(session, run.id))

    def counted_of(self, run: Run, what: str, count: Callable[[], T]) -> T:
        """What `count` found for a run: now, or for an active run a moment ago."""
        key = (run.id, what)
        with self.lock:
            known = self.counted.get(key)
        if known and self._is_good(known, run):
            return cast("T", known.found)
        began = self.clock()
        found = count()
        now = self.clock()
        with self.lock:
            self.counted[key] = _Counted(run.version, now, now - began, found)
            self.counted.move_to_end(key)
            if len(self.counted) > MOST_RUNS:
                self.counted.popitem(last=False)
        return found

    def rate_of(self, run_id: UUID, stage: str, done: int) -> float | None:
        """Contacts a second of a stage over the last half minute; None until it was seen for two seconds.

        Each call is a sample.
        """
        at = self.clock()
        with self.lock:
            samples = self.samples.setdefault((run_id, stage), deque())
            self.samples.move_to_end((run_id, stage))
            if len(self.samples) > MOST_RUNS:
                self.samples.popitem(last=False)
            if not samples or done > samples[-1].done or at - samples[-1].at > 1:
                samples.append(_Sample(at, max(done, samples[-1].done if samples else 0)))
            while len(samples) > 1 and at - samples[0].at > WINDOW_S:
                samples.popleft()
            span, more = samples[-1].at - samples[0].at, samples[-1].done - samples[0].done
        return more / span if span >= SHORTEST_SPAN_S and more else None

    def _is_good(self, known: _Counted, run: Run) -> bool:
        if known.version == run.version:
            return True
        pause = max(NOT_FASTER_THAN_S, PAUSE_FACTOR * known.cost_s)
        return run.status not in TERMINAL_RUN_STATUSES and self.clock() - known.at < pause


def new_memory() -> Memory:
    """An empty memory."""
    return Memory()
