"""Hooks with logs, as they are after some days, for pages that show them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text

from models.database import Database
from models.hook import HookEvent
from pipeline.hooks.endpoints import add_hook, change_hook
from tests.integration.conftest import Client

TRIED: Mapping[str, Any] = {
    "at": "2026-11-27T14:17:00+00:00",
    "status": 503,
    "problem": "it answered 503",
    "milliseconds": 84,
}
ACCEPTED = TRIED | {"status": 204, "problem": ""}

# The stream is due in an hour, so that the sweeper leaves alone what is pending.
ADD = text("""
WITH stream AS (
  INSERT INTO hook_streams AS s (hook_id, run_id, last_number, done_number, due_at)
  VALUES (:hook_id, :run_id, :count, CASE WHEN :state = 'pending' THEN 0 ELSE :count END,
    CASE WHEN :state = 'pending' THEN now() + interval '1 hour' END)
  ON CONFLICT (hook_id, run_id) DO UPDATE SET last_number = s.last_number + :count,
    done_number = CASE WHEN :state = 'pending' THEN s.done_number ELSE s.last_number + :count END,
    due_at = CASE WHEN :state = 'pending' THEN now() + interval '1 hour' END
  RETURNING last_number
)
INSERT INTO hook_messages
  (hook_id, run_id, number, event, positions, state, attempts, attempt_log, created_at, finished_at)
SELECT :hook_id, :run_id, last_number - :count + place, :event, CAST(:positions AS jsonb), :state,
  jsonb_array_length(CAST(:attempts AS jsonb)), CAST(:attempts AS jsonb), clock_timestamp(),
  CASE WHEN :state <> 'pending' THEN clock_timestamp() END
FROM stream, generate_series(1, CAST(:count AS bigint)) AS place
RETURNING id
""")


def disabled_hook(database: Database, client: Client, url: str, description: str = "") -> UUID:
    """A hook to which nothing is sent."""
    owner = client.account.account_id
    with database.transaction() as session:
        hook = add_hook(session, owner, url, list(HookEvent), every_run=True, description=description)
        change_hook(session, owner, hook.id, {"enabled": False})
        return hook.id


def deliveries(
    database: Database,
    hook_id: UUID,
    run_id: str,
    state: str,
    count: int,
    *,
    event: str = "run.cancelled",
    attempts: Sequence[Mapping[str, Any]] | None = None,
) -> Sequence[UUID]:
    """Messages in a state, newer than those that are there."""
    tried = attempts if attempts is not None else [ACCEPTED if state == "delivered" else TRIED]
    values = {
        "hook_id": hook_id,
        "run_id": run_id,
        "state": state,
        "count": count,
        "event": event,
        "positions": json.dumps([0, 1] if event == "contact.finished" else []),
        "attempts": json.dumps([dict(each) for each in tried]),
    }
    with database.transaction() as session:
        return session.scalars(ADD, values).all()
