"""How long the engine took to be at work again after a fault, and how much work a struck chunk task had in hand."""

import math
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.faults.engine import ChunkInHand
from tests.faults.renewals import LEASE_S, Renewal
from tests.faults.scene import Blow

# When anything of the run was moved on: an outcome recorded, a chunk leased, the run finished.
ACTIVITY = text("""
SELECT at FROM (
  SELECT DISTINCT recorded_at AS at FROM outcomes WHERE run_id = :run_id
  UNION SELECT at FROM run_events WHERE run_id = :run_id AND kind IN ('chunk_leased', 'chunk_finished', 'completed')
) moments ORDER BY at
""")

TAKEN_UP = text("""
SELECT least(
  (SELECT min(at) FROM run_events WHERE run_id = :run_id AND stage = :stage AND at > :struck_at
     AND kind IN ('chunk_leased', 'chunk_finished') AND (detail ->> 'chunk')::int = :number),
  (SELECT min(recorded_at) FROM outcomes WHERE run_id = :run_id AND stage = :stage AND recorded_at > :struck_at
     AND position BETWEEN :first AND :last)
)
""")


def resume_seconds(
    session: Session, run_id: UUID, blows: Sequence[Blow], renewals: Collection[Renewal]
) -> Iterator[float]:
    """For each blow: the longest stalled run of the whole run, and the wait of each chunk that was in hand."""
    moments = sorted([*session.execute(ACTIVITY, {"run_id": run_id}).scalars(), *(renewal.at for renewal in renewals)])
    ends = [*(blow.struck_at for blow in blows[1:]), moments[-1]]
    for blow, end in zip(blows, ends, strict=False):
        yield longest_stalled(moments, blow.since, end)
        for chunk in blow.orphans:
            taken_up_at = _taken_up_at(session, run_id, chunk, blow, renewals)
            # A later fault that struck meanwhile may have kept away what the recovery needs: time runs from its end.
            interrupted = [later.since for later in blows if blow.struck_at < later.struck_at < taken_up_at]
            yield (taken_up_at - max([blow.since, *interrupted])).total_seconds()


def longest_stalled(moments: Sequence[datetime], since: datetime, end: datetime) -> float:
    """The longest time without activity between `since` and `end`, in seconds."""
    inside = [since, *(moment for moment in moments if since < moment < end), max(since, end)]
    return max((later - earlier).total_seconds() for earlier, later in pairwise(inside))


def _taken_up_at(
    session: Session, run_id: UUID, chunk: ChunkInHand, blow: Blow, renewals: Collection[Renewal]
) -> datetime:
    """When somebody worked a chunk again that was in hand when the fault struck."""
    key = {
        "run_id": run_id,
        "stage": chunk.stage,
        "number": chunk.number,
        "struck_at": blow.struck_at,
        "first": chunk.first_position,
        "last": chunk.last_position,
    }
    recorded_at: datetime | None = session.execute(TAKEN_UP, key).scalar_one()
    renewed_at = [renewal.at for renewal in renewals if (renewal.stage, renewal.number) == (chunk.stage, chunk.number)]
    moments = [*([recorded_at] if recorded_at else []), *(at for at in renewed_at if at > blow.struck_at)]
    # Nobody had to: it was finished just before the blow landed.
    return min(moments, default=blow.since)


def seconds_since_checkpoint(blows: Sequence[Blow]) -> Iterator[float]:
    """How old each struck chunk task's last checkpoint was: a checkpoint sets the lease's end anew.

    A chunk task that an earlier blow killed checkpoints no more: until its lease ends, its chunk looks like one in
    hand. Nor could it record while an earlier fault kept a server away: its time runs from that server's return.
    """
    struck_before: set[tuple[str, int, str]] = set()
    returned_at: datetime | None = None
    for blow in blows:
        could_record_for = (blow.struck_at - returned_at).total_seconds() if returned_at else math.inf
        chunk_tasks = {(chunk.stage, chunk.number, chunk.worker): LEASE_S + chunk.overdue_s for chunk in blow.orphans}
        yield from (
            min(seconds, could_record_for)
            for chunk_task, seconds in chunk_tasks.items()
            if chunk_task not in struck_before
        )
        struck_before |= set(chunk_tasks)
        if blow.since > blow.struck_at:
            returned_at = blow.since
