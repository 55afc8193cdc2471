"""Deferrals: contacts that wait until their mail servers can be asked again, without occupying a worker."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from pipeline.outcomes import Deferral

NOTE = text("""
INSERT INTO deferrals (run_id, stage, position, times, until, reason)
SELECT :run_id, :stage, r.position, 1, now() + make_interval(secs => r.seconds), r.reason
FROM jsonb_to_recordset(CAST(:deferrals AS jsonb))
  AS r(position int, seconds double precision, reason text)
ON CONFLICT (run_id, stage, position)
DO UPDATE SET times = deferrals.times + 1, until = excluded.until, reason = excluded.reason
""")

# Only if no chunk task works on the stage, and each open chunk waits.
PARK = text("""
UPDATE runs SET parked_until = first.not_before FROM (
  SELECT not_before FROM run_chunks WHERE run_id = :run_id AND stage = :stage AND status = 'open'
  ORDER BY not_before, number LIMIT 1
) first
WHERE id = :run_id AND first.not_before > now()
  AND NOT EXISTS (
    SELECT FROM run_chunks WHERE run_id = :run_id AND stage = :stage AND status = 'open' AND not_before IS NULL
  )
  AND NOT EXISTS (SELECT FROM run_chunks WHERE run_id = :run_id AND stage = :stage AND status = 'leased')
""")

# The count is kept up to date where it changes: a state is built with each checkpoint.
WAITING = text("""
SELECT s.waiting AS contacts, first.not_before AS until
FROM run_stages s, LATERAL (
  SELECT c.not_before FROM run_chunks c
  WHERE c.run_id = s.run_id AND c.stage = s.stage AND c.status = 'open' AND c.not_before > now()
  ORDER BY c.not_before, c.number LIMIT 1
) first
WHERE s.run_id = :run_id AND s.status = 'running' AND s.waiting > 0
""")

COUNT_WAITING = text("UPDATE run_stages SET waiting = waiting + :more WHERE run_id = :run_id AND stage = :stage")

EXPORTS_WAIT = text("""
SELECT not_before FROM run_chunks
WHERE run_id = :run_id AND stage = 'compile' AND status = 'open' AND not_before > now()
""")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many contacts of a run are deferred, and when the first chunk of them is due."""

    contacts: int
    until: datetime


def note_deferrals(session: Session, run_id: UUID, stage: str, deferrals: Sequence[Deferral]) -> None:
    """Record for each contact that it is deferred, until when, why and how often."""
    rows = json.dumps([deferral._asdict() for deferral in deferrals])
    session.execute(NOTE, {"run_id": run_id, "stage": stage, "deferrals": rows})


def count_waiting(session: Session, run_id: UUID, stage: str, more: int) -> None:
    """Add to the number of waiting contacts of a stage; `more` may be negative."""
    if more:
        session.execute(COUNT_WAITING, {"run_id": run_id, "stage": stage, "more": more})


def park(session: Session, run_id: UUID, stage: str) -> None:
    """Park the run until the first chunk of a stage is due, if all of its open chunks wait."""
    session.execute(PARK, {"run_id": run_id, "stage": stage})


def waiting(session: Session, run_id: UUID) -> Waiting | None:
    """The deferred contacts of a run; None if there are none."""
    row = session.execute(WAITING, {"run_id": run_id}).one_or_none()
    return Waiting(row.contacts, row.until) if row else None


def exports_wait(session: Session, run_id: UUID) -> datetime | None:
    """When export files that could not be written are tried again; None if there are none."""
    until: datetime | None = session.scalar(EXPORTS_WAIT, {"run_id": run_id})
    return until
