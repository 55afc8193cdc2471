"""Hooks at a glance: the last attempt of each, its dead deliveries, and what became of the messages about one run."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.hook import Hook, HookMessage, HookStream, MessageState
from models.hook_outbox import is_notified_of
from pipeline.errors import UnknownHook
from pipeline.hooks.endpoints import list_hooks
from pipeline.hooks.expiry import KEPT_PER_HOOK
from pipeline.hooks.log import deliveries

LOOKED_AT = 50
"""How many of a hook's newest messages are looked at for one that was tried: behind one that fails, others wait."""

# Dead messages are counted in an index of their own, so that a long log costs nothing.
GLANCE = text("""
SELECT h.id AS hook_id, newest.attempt, dead.count AS dead
FROM hooks h
LEFT JOIN LATERAL (
  SELECT attempt_log->-1 AS attempt FROM (
    SELECT attempt_log FROM hook_messages WHERE hook_id = h.id ORDER BY created_at DESC, id DESC LIMIT :count
  ) AS looked_at
  WHERE attempt_log <> '[]' ORDER BY CAST(attempt_log->-1->>'at' AS timestamptz) DESC LIMIT 1
) AS newest ON true
CROSS JOIN LATERAL (
  SELECT count(*) FROM hook_messages WHERE hook_id = h.id AND state = 'dead'
) AS dead
WHERE h.account_id = :account_id
""")

# One row for each hook and event, with the newest message that was tried, which is looked up by its number.
OF_RUN = text("""
SELECT h.id AS hook_id, h.url, h.description, h.enabled, found.event, found.messages, found.delivered, found.pending,
  found.dead, tried.id AS message_id, tried.state, tried.attempts, s.due_at, tried.attempt
FROM hook_streams s JOIN hooks h ON h.id = s.hook_id
CROSS JOIN LATERAL (
  SELECT event, count(*) AS messages, count(*) FILTER (WHERE state = 'delivered') AS delivered,
    count(*) FILTER (WHERE state = 'pending') AS pending, count(*) FILTER (WHERE state = 'dead') AS dead,
    coalesce(max(number) FILTER (WHERE attempts > 0), max(number)) AS number
  FROM (
    SELECT event, state, attempts, number FROM hook_messages
    WHERE hook_id = s.hook_id AND run_id = s.run_id ORDER BY number DESC LIMIT :most
  ) AS newest
  GROUP BY event
) AS found
CROSS JOIN LATERAL (
  SELECT id, state, attempts, attempt_log->-1 AS attempt FROM hook_messages
  WHERE hook_id = s.hook_id AND run_id = s.run_id AND number = found.number LIMIT 1
) AS tried
WHERE s.run_id = :run_id AND h.account_id = :account_id
ORDER BY h.id, found.number DESC
""")


class Attempt(NamedTuple):
    """An attempt at a message; `status` is None if no answer came."""

    at: datetime
    status: int | None
    problem: str
    milliseconds: int


class Glance(NamedTuple):
    """A hook, its last attempt if one of its newest messages was tried, and how many of its deliveries are dead."""

    hook: Hook
    last: Attempt | None
    dead: int


class Deliveries(NamedTuple):
    """What became of the messages about one run, of one event, to one hook.

    `message_id`, `state`, `attempts` and `last` are those of the newest message that was tried. The next one is due at
    `due_at`, if one is pending.
    """

    hook_id: UUID
    url: str
    description: str
    enabled: bool
    event: str
    messages: int
    delivered: int
    pending: int
    dead: int
    message_id: UUID
    state: str
    attempts: int
    due_at: datetime | None
    last: Attempt | None


class LogPage(NamedTuple):
    """A page of a hook's log, and the message after which the next page begins; None at the end."""

    messages: Sequence[HookMessage]
    due: Mapping[UUID, datetime]
    """When the next message of a run is due, by the run's id."""
    next: UUID | None


def hooks_at_a_glance(session: Session, account_id: UUID) -> Sequence[Glance]:
    """The hooks of an account, oldest first."""
    rows = session.execute(GLANCE, {"account_id": account_id, "count": LOOKED_AT})
    seen = {row.hook_id: row for row in rows}
    hooks = [hook for hook in list_hooks(session, account_id) if hook.id in seen]
    return [Glance(hook, _known(seen[hook.id].attempt), seen[hook.id].dead) for hook in hooks]


def glance_at(session: Session, account_id: UUID, hook_id: UUID) -> Glance:
    """One hook of an account. Raises `UnknownHook`."""
    for glance in hooks_at_a_glance(session, account_id):
        if glance.hook.id == hook_id:
            return glance
    raise UnknownHook.with_this_id()


def deliveries_of_run(session: Session, account_id: UUID, run_id: UUID) -> Sequence[Deliveries]:
    """What became of the messages about a run: of each hook, those that its log keeps."""
    rows = session.execute(OF_RUN, {"account_id": account_id, "run_id": run_id, "most": KEPT_PER_HOOK})
    return [Deliveries._make((*row[:-1], _known(row[-1]))) for row in rows]


def hooks_of_run(session: Session, account_id: UUID, run_id: UUID) -> Sequence[Hook]:
    """The hooks that are notified of a run, oldest first."""
    return session.scalars(select(Hook).where(*is_notified_of(account_id, run_id)).order_by(Hook.id)).all()


def log_page(
    session: Session,
    account_id: UUID,
    hook_id: UUID,
    count: int,
    *,
    states: Sequence[MessageState] = (),
    run_id: UUID | None = None,
    after: UUID | None = None,
) -> LogPage:
    """A page of `pipeline.hooks.log.deliveries`, with when what is pending is due. Raises `UnknownHook`."""
    found = deliveries(session, account_id, hook_id, count + 1, states=states, run_id=run_id, after=after)
    shown = found[:count]
    streams = select(HookStream.run_id, HookStream.due_at).where(
        HookStream.hook_id == hook_id,
        HookStream.run_id.in_({message.run_id for message in shown}),
        HookStream.due_at.is_not(None),
    )
    due = {run_id: due_at for run_id, due_at in session.execute(streams) if due_at}
    return LogPage(shown, due, shown[-1].id if len(found) > count else None)


def attempt_of(entry: Mapping[str, Any]) -> Attempt:
    """An entry of a message's log."""
    at = datetime.fromisoformat(entry["at"])
    return Attempt(at, entry["status"], entry["problem"], entry["milliseconds"])


def _known(entry: Mapping[str, Any] | None) -> Attempt | None:
    return attempt_of(entry) if entry else None
