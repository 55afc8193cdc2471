"""How long the engine took to recover from a fault, and how much work a hit chunk task lost."""

import math
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.faults.engine import WorkedChunk
from tests.faults.renewals import LEASE_S, Renewal
from tests.faults.scene import Injection

# When the run made progress: an outcome was recorded, a chunk leased or finished, or the run completed.
ACTIVITY = text("""
SELECT at FROM (
  SELECT DISTINCT recorded_at AS at FROM outcomes WHERE run_id = :run_id
  UNION SELECT at FROM run_events WHERE run_id = :run_id AND kind IN ('chunk_leased', 'chunk_finished', 'completed')
) moments ORDER BY at
""")

WORKED_AGAIN_AT = text("""
SELECT least(
  (SELECT min(at) FROM run_events WHERE run_id = :run_id AND stage = :stage AND at > :injected_at
     AND kind IN ('chunk_leased', 'chunk_finished') AND (detail ->> 'chunk')::int = :number),
  (SELECT min(recorded_at) FROM outcomes WHERE run_id = :run_id AND stage = :stage AND recorded_at > :injected_at
     AND position BETWEEN :first AND :last)
)
""")


def resume_seconds(
    session: Session, run_id: UUID, injections: Sequence[Injection], renewals: Collection[Renewal]
) -> Iterator[float]:
    """For each injection: the longest pause of the whole run, and the wait of each chunk that was being worked."""
    moments = sorted([*session.execute(ACTIVITY, {"run_id": run_id}).scalars(), *(renewal.at for renewal in renewals)])
    ends = [*(injection.injected_at for injection in injections[1:]), moments[-1]]
    for injection, end in zip(injections, ends, strict=False):
        yield longest_pause(moments, injection.since, end)
        for chunk in injection.orphans:
            worked_again_at = _worked_again_at(session, run_id, chunk, injection, renewals)
            # A later fault may have delayed the recovery: the time counts from its end.
            interrupted = [
                later.since for later in injections if injection.injected_at < later.injected_at < worked_again_at
            ]
            yield (worked_again_at - max([injection.since, *interrupted])).total_seconds()


def longest_pause(moments: Sequence[datetime], since: datetime, end: datetime) -> float:
    """The longest time without progress between `since` and `end`, in seconds."""
    inside = [since, *(moment for moment in moments if since < moment < end), max(since, end)]
    return max((later - earlier).total_seconds() for earlier, later in pairwise(inside))


def _worked_again_at(
    session: Session, run_id: UUID, chunk: WorkedChunk, injection: Injection, renewals: Collection[Renewal]
) -> datetime:
    """When a chunk that was being worked at the injection was worked again."""
    key = {
        "run_id": run_id,
        "stage": chunk.stage,
        "number": chunk.number,
        "injected_at": injection.injected_at,
        "first": chunk.first_position,
        "last": chunk.last_position,
    }
    recorded_at: datetime | None = session.execute(WORKED_AGAIN_AT, key).scalar_one()
    renewed_at = [renewal.at for renewal in renewals if (renewal.stage, renewal.number) == (chunk.stage, chunk.number)]
    moments = [*([recorded_at] if recorded_at else []), *(at for at in renewed_at if at > injection.injected_at)]
    # No recovery was needed: the chunk was finished just before the injection.
    return min(moments, default=injection.since)


def seconds_since_checkpoint(injections: Sequence[Injection]) -> Iterator[float]:
    """The age of the last checkpoint of each hit chunk task. A checkpoint renews the lease.

    The chunk of a task that an earlier injection killed looks as if it were being worked until its lease expires; it is
    counted once. While an earlier fault kept a server unavailable, nothing could be recorded: the time counts from the
    server's return.
    """
    hit_before: set[tuple[str, int, str]] = set()
    returned_at: datetime | None = None
    for injection in injections:
        could_record_for = (injection.injected_at - returned_at).total_seconds() if returned_at else math.inf
        chunk_tasks = {
            (chunk.stage, chunk.number, chunk.worker): LEASE_S + chunk.overdue_s for chunk in injection.orphans
        }
        yield from (
            min(seconds, could_record_for)
            for chunk_task, seconds in chunk_tasks.items()
            if chunk_task not in hit_before
        )
        hit_before |= set(chunk_tasks)
        if injection.since > injection.injected_at:
            returned_at = injection.since
