"""Deferrals: contacts that wait for their mail servers, while no worker waits for them."""

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
FROM jsonb_to_recordset(CAST(:deferrals AS jsonb)) AS r(position int, seconds double precision, reason text)
ON CONFLICT (run_id, stage, position)
DO UPDATE SET times = deferrals.times + 1, until = excluded.until, reason = excluded.reason
""")

# The run rests when no lane works it and none could: all that is left waits for its time.
REST = text("""
UPDATE runs SET resend_at = (
  SELECT min(c.not_before) FROM run_chunks c WHERE c.run_id = runs.id AND c.status <> 'done'
)
WHERE id = :run_id AND EXISTS (SELECT FROM run_chunks c WHERE c.run_id = runs.id AND c.status <> 'done')
  AND NOT EXISTS (
    SELECT FROM run_chunks c WHERE c.run_id = runs.id AND c.status <> 'done'
      AND (c.not_before IS NULL OR c.not_before <= now())
  )
""")

WAITING = text("""
SELECT count(*) AS contacts, min(d.until) AS until
FROM run_chunks c
JOIN deferrals d ON d.run_id = c.run_id AND d.stage = c.stage
  AND d.position BETWEEN c.first_position AND c.last_position
WHERE c.run_id = :run_id AND c.status = 'open' AND c.not_before > now()
  AND NOT EXISTS (
    SELECT FROM outcomes o WHERE o.run_id = d.run_id AND o.stage = d.stage AND o.position = d.position
  )
""")

EXPORTS_WAIT = text("""
SELECT not_before FROM run_chunks
WHERE run_id = :run_id AND stage = 'compile' AND status = 'open' AND not_before > now()
""")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many contacts of a run wait for their mail servers, and until when at least."""

    contacts: int
    until: datetime


def note_deferrals(session: Session, run_id: UUID, stage: str, deferrals: Sequence[Deferral]) -> None:
    """Count these deferrals of contacts, and when their time comes."""
    rows = json.dumps([deferral._asdict() for deferral in deferrals])
    session.execute(NOTE, {"run_id": run_id, "stage": stage, "deferrals": rows})


def let_rest(session: Session, run_id: UUID) -> None:
    """If all that is left of a run waits, let the sweeper wait as well: it sends the chain when it is time."""
    session.execute(REST, {"run_id": run_id})


def waiting(session: Session, run_id: UUID) -> Waiting | None:
    """What of a run waits; none if nothing does."""
    row = session.execute(WAITING, {"run_id": run_id}).one()
    return Waiting(row.contacts, row.until) if row.contacts else None


def exports_wait(session: Session, run_id: UUID) -> datetime | None:
    """When the export files are tried again that could not be written; none if none wait."""
    until: datetime | None = session.scalar(EXPORTS_WAIT, {"run_id": run_id})
    return until
