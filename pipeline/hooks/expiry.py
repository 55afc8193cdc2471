"""Keeps the log of deliveries bounded: by age, and by number for each hook. Deleted in batches."""

import time
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from pipeline.privacy.retention import BATCH

KEPT_PER_HOOK = 10_000
"""Messages of one hook that are kept once they are finished; the newest."""

# Also what was never delivered, since its hook was disabled.
DELETE_OLD = text("""
DELETE FROM hook_messages WHERE id IN (
  SELECT id FROM hook_messages WHERE created_at < now() - make_interval(secs => 86400 * :days)
  ORDER BY created_at LIMIT :count
)
RETURNING id
""")

DELETE_SURPLUS = text("""
DELETE FROM hook_messages WHERE id IN (
  SELECT surplus.id FROM hooks h
  CROSS JOIN LATERAL (
    SELECT created_at, id FROM hook_messages WHERE hook_id = h.id
    ORDER BY created_at DESC, id DESC OFFSET :most LIMIT 1
  ) AS edge
  CROSS JOIN LATERAL (
    SELECT m.id FROM hook_messages m
    WHERE m.hook_id = h.id AND (m.created_at, m.id) <= (edge.created_at, edge.id) AND m.state <> 'pending'
    ORDER BY m.created_at, m.id LIMIT :count
  ) AS surplus
  LIMIT :count
)
RETURNING id
""")

# Ids of runs begin with the time of their creation: only those of old runs are looked at.
DELETE_STREAMS = text("""
DELETE FROM hook_streams WHERE (hook_id, run_id) IN (
  SELECT s.hook_id, s.run_id FROM hook_streams s JOIN runs r ON r.id = s.run_id
  WHERE s.run_id < :run_id AND s.due_at IS NULL AND r.finished_at < now() - make_interval(secs => 86400 * :days)
    AND NOT EXISTS (SELECT FROM hook_messages m WHERE m.hook_id = s.hook_id AND m.run_id = s.run_id)
  ORDER BY s.run_id LIMIT :count
)
RETURNING run_id
""")


def delete_messages(session: Session, days: float) -> int:
    """Delete a batch of messages that are older than so many days; return how many there were."""
    return len(session.execute(DELETE_OLD, {"days": days, "count": BATCH}).all())


def delete_surplus(session: Session, _days: float) -> int:
    """Delete a batch of messages beyond those that are kept for each hook; return how many there were."""
    return len(session.execute(DELETE_SURPLUS, {"most": KEPT_PER_HOOK, "count": BATCH}).all())


def delete_streams(session: Session, days: float) -> int:
    """Delete a batch of what is known of runs that ended so long ago and have no messages; return how many."""
    created_before = UUID(int=max(0, int((time.time() - days * 86_400) * 1_000)) << 80)
    return len(session.execute(DELETE_STREAMS, {"days": days, "count": BATCH, "run_id": created_before}).all())
