"""Delivering: lease streams, take their next message, and record what came of it.

A stream is the messages of one run to one hook. One process at a time delivers them, one message after the other: the
lease of the stream is `due_at` in the future, and `lease` fences whoever held it before. Whatever happens to that
process, the lease ends and the message is sent again: at least once, in order, with the same `webhook-id`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    case,
    delete,
    func,
    literal,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from models.hook import DisabledReason, Hook, HookEvent, HookMessage, HookStream, MessageState
from models.hook_outbox import CONTACTS_AT_ONCE
from models.pauses import in_seconds, seconds
from pipeline.hooks.bodies import body_of
from pipeline.hooks.retries import DAY_S, pause_after
from pipeline.results.links import Links

PER_HOOK = 4
"""Streams of one hook that a process delivers at the same time; while the hook fails, one."""
LOOKED_AT = 50
"""Messages that one step merges or skips at most."""
DISABLED_AFTER_S = 5 * DAY_S
"""A hook that has accepted nothing for so long is disabled."""
ATTEMPTS_KEPT = 20
"""Attempts of a message that its log keeps, the newest."""
PROGRESS_EVERY_S = 15.0

# Of each hook only the streams that are due, and of these no more than it may have: a hook that is slow, or has a long
# backlog, costs the others nothing. Hooks that fail come last. `due_at` is the end of the lease.
LEASE_STREAMS = text("""
WITH due AS (
  SELECT s.hook_id, s.run_id FROM hooks h
  LEFT JOIN unnest(CAST(:hooks AS uuid[]), CAST(:counts AS bigint[])) AS busy (hook_id, streams) ON busy.hook_id = h.id
  CROSS JOIN LATERAL (
    SELECT hook_id, run_id, due_at FROM hook_streams
    WHERE hook_id = h.id AND due_at <= now() ORDER BY due_at
    LIMIT greatest(0, CASE WHEN h.failures > 0 THEN 1 ELSE :per_hook END - coalesce(busy.streams, 0))
    FOR UPDATE SKIP LOCKED
  ) AS s
  WHERE h.enabled AND h.not_before <= now()
  ORDER BY h.failures > 0, s.due_at LIMIT :count
)
UPDATE hook_streams s SET due_at = clock_timestamp() + make_interval(secs => :seconds), lease = s.lease + 1
FROM due WHERE s.hook_id = due.hook_id AND s.run_id = due.run_id
RETURNING s.hook_id, s.run_id, s.lease
""")

# A message for each running run that has moved since its last one, unless that one is still to be delivered: however
# long a receiver is away, it gets one. The checkpoints of the run write nothing for it. Runs are read from the index of
# active ones, however many an account has had.
ADD_PROGRESS = text("""
WITH active AS MATERIALIZED (
  SELECT id, account_id, updated_at FROM runs
  WHERE status IN ('pending', 'running') AND status = 'running'
    AND EXISTS (SELECT FROM hooks WHERE enabled AND events @> '["run.progress"]')
), due AS (
  SELECT h.id AS hook_id, r.id AS run_id FROM hooks h
  JOIN active r ON r.account_id = h.account_id
  LEFT JOIN hook_streams s ON s.hook_id = h.id AND s.run_id = r.id
  WHERE h.enabled AND h.events @> '["run.progress"]' AND (h.every_run OR s.run_id IS NOT NULL)
    AND coalesce(s.progress_number, 0) <= coalesce(s.done_number, 0)
    AND coalesce(s.progress_at, '-infinity') < least(r.updated_at, now() - make_interval(secs => :seconds))
), streams AS (
  INSERT INTO hook_streams AS s (hook_id, run_id, last_number, due_at, progress_number, progress_at)
  SELECT hook_id, run_id, 1, now(), 1, now() FROM due ORDER BY run_id, hook_id
  ON CONFLICT (hook_id, run_id) DO UPDATE
  SET last_number = s.last_number + 1, due_at = coalesce(s.due_at, now()),
    progress_number = s.last_number + 1, progress_at = now()
  WHERE coalesce(s.progress_at, '-infinity') < now() - make_interval(secs => :seconds)
    AND s.progress_number <= s.done_number
  RETURNING hook_id, run_id, last_number
)
INSERT INTO hook_messages (hook_id, run_id, number, event)
SELECT hook_id, run_id, last_number, 'run.progress' FROM streams
""")


@dataclass(frozen=True, slots=True)
class LeasedStream:
    """The right to deliver the messages of one run to one hook, until the lease ends."""

    hook_id: UUID
    run_id: UUID
    lease: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that is about to be sent."""

    id: UUID
    number: int
    webhook_id: str
    url: str = field(repr=False)
    secrets: Sequence[bytes] = field(repr=False)
    """The newest first."""
    body: str = field(repr=False)
    attempt: int
    hook_failures: int


class Verdict(Enum):
    """What an attempt means."""

    ACCEPTED = auto()
    FAILED = auto()
    GONE = auto()
    """The receiver wants no further messages (410)."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of sending a message. `problem` is a phrase for the log; it holds nothing that the receiver sent."""

    verdict: Verdict
    status: int | None
    problem: str
    milliseconds: int
    retry_after: float | None = None


def lease_streams(
    session: Session, busy: Mapping[UUID, int], count: int, lease_seconds: float
) -> Sequence[LeasedStream]:
    """Lease streams that are due. `busy` are the hooks of which the process delivers streams, and how many."""
    limits = {"per_hook": PER_HOOK, "count": count, "seconds": lease_seconds}
    rows = session.execute(LEASE_STREAMS, limits | {"hooks": list(busy), "counts": list(busy.values())})
    return [LeasedStream(*row) for row in rows]


def add_progress(session: Session) -> None:
    """Write messages about the progress of running runs to hooks that want them, every `PROGRESS_EVERY_S`."""
    session.execute(ADD_PROGRESS, {"seconds": PROGRESS_EVERY_S})


def next_message(session: Session, stream: LeasedStream, lease_seconds: float, links: Links) -> Outgoing | None:
    """Take the stream's next message, and renew the lease. None if none is left, or if the lease is lost.

    The attempt counts from now on, so that a message which may have been sent never gets other contacts.
    """
    row = _locked(session, stream)
    if row is None:
        return None
    hook = session.get(Hook, stream.hook_id, populate_existing=True)
    if hook is None or not hook.enabled:
        _set_due(session, stream, func.now())
        return None
    done = row.done_number
    for message in _merged(session, _behind(session, stream, done)):
        # A lease that was lost may have been long enough: its message is delivered.
        if message.state == MessageState.PENDING:
            body = body_of(session, message, links)
            if body is not None:
                _advance(session, stream, done, in_seconds(lease_seconds))
                return _begun(session, hook, message, body)
            message.state, message.finished_at = MessageState.SKIPPED.value, func.now()
        done = message.number
    # What was deleted from the log before it was delivered counts as done.
    _advance(session, stream, row.last_number if done == row.done_number else done, func.now())
    return None


def record_attempt(session: Session, stream: LeasedStream, message: Outgoing, attempt: Attempt) -> bool:
    """Record what came of an attempt. Whether the process goes on with the stream's next message.

    A failed attempt puts the whole stream off, so that its order holds. If the lease is lost, the message is sent
    again by whoever has it now; an accepted one is recorded all the same.
    """
    holds = _locked(session, stream) is not None
    _note_at_hook(session, stream.hook_id, message, attempt)
    if attempt.verdict is Verdict.ACCEPTED:
        _finish(session, message, attempt, MessageState.DELIVERED)
        if holds:
            _advance(session, stream, message.number, func.now())
        return holds
    if not holds:
        return False
    pause = pause_after(message.attempt, attempt.retry_after)
    if attempt.verdict is Verdict.FAILED and _is_too_old(session, message, pause):
        _finish(session, message, attempt, MessageState.DEAD)
        _advance(session, stream, message.number, func.now())
        return False
    _log_attempt(session, message, attempt)
    _set_due(session, stream, in_seconds(pause))
    return False


def release_stream(session: Session, stream: LeasedStream) -> None:
    """End a lease early: whoever looks next goes on with the stream."""
    _set_due(session, stream, func.now())


def _locked(session: Session, stream: LeasedStream) -> Any:
    """The numbers of a stream, which is locked until the transaction ends; None if the lease is lost."""
    numbers = select(HookStream.done_number, HookStream.last_number)
    return session.execute(numbers.where(*_held(stream)).with_for_update()).one_or_none()


def _held(stream: LeasedStream) -> Sequence[ColumnElement[bool]]:
    return (
        HookStream.hook_id == stream.hook_id,
        HookStream.run_id == stream.run_id,
        HookStream.lease == stream.lease,
    )


def _behind(session: Session, stream: LeasedStream, done: int) -> Sequence[HookMessage]:
    of_stream = (HookMessage.hook_id == stream.hook_id, HookMessage.run_id == stream.run_id)
    behind = select(HookMessage).where(*of_stream, HookMessage.number > done).order_by(HookMessage.number)
    return session.scalars(behind.limit(LOOKED_AT).execution_options(populate_existing=True)).all()


def _merged(session: Session, messages: Sequence[HookMessage]) -> Sequence[HookMessage]:
    """Add the contacts of the messages behind the first one to it, unless it may have been sent before."""
    if not messages or not _can_merge(messages[0]):
        return messages
    first, positions, needless = messages[0], list(messages[0].positions), list[HookMessage]()
    for message in messages[1:]:
        if not _can_merge(message) or len(positions) + len(message.positions) > CONTACTS_AT_ONCE:
            break
        positions += message.positions
        needless.append(message)
    if not needless:
        return messages
    first.positions = positions
    session.execute(delete(HookMessage).where(HookMessage.id.in_([each.id for each in needless])))
    session.flush()
    return [first, *messages[1 + len(needless) :]]


def _can_merge(message: HookMessage) -> bool:
    """Whether no receiver can have seen the message yet."""
    is_new = message.state == MessageState.PENDING and not message.attempts and message.replay_of is None
    return is_new and message.event == HookEvent.CONTACTS


def _begun(session: Session, hook: Hook, message: HookMessage, body: str) -> Outgoing:
    message.attempts += 1
    session.flush()
    return Outgoing(
        message.id,
        message.number,
        message.webhook_id,
        hook.url,
        _secrets_of(session, hook),
        body,
        message.attempts,
        hook.failures,
    )


def _secrets_of(session: Session, hook: Hook) -> Sequence[bytes]:
    if hook.previous_secret is None or hook.previous_until is None:
        return (hook.secret,)
    now: datetime = session.scalars(select(func.now())).one()
    return (hook.secret, hook.previous_secret) if now < hook.previous_until else (hook.secret,)


def _advance(session: Session, stream: LeasedStream, done: int, due_at: Any) -> None:
    """Count the messages up to `done` as done. The next one is due at `due_at`, if there is one."""
    due = case((HookStream.last_number > done, due_at), else_=None)
    session.execute(
        update(HookStream)
        .where(*_held(stream))
        .values(done_number=done, due_at=due)
        .execution_options(synchronize_session=False)
    )


def _set_due(session: Session, stream: LeasedStream, due_at: Any) -> None:
    session.execute(
        update(HookStream)
        .where(*_held(stream), HookStream.due_at.is_not(None))
        .values(due_at=due_at)
        .execution_options(synchronize_session=False)
    )


def _finish(session: Session, message: Outgoing, attempt: Attempt, state: MessageState) -> None:
    _log_attempt(session, message, attempt, state=state.value, finished_at=func.clock_timestamp())


def _log_attempt(session: Session, message: Outgoing, attempt: Attempt, **values: Any) -> None:
    session.execute(
        update(HookMessage)
        .where(HookMessage.id == message.id, HookMessage.state == MessageState.PENDING)
        .values(attempt_log=_with(attempt), **values)
        .execution_options(synchronize_session=False)
    )


def _with(attempt: Attempt) -> ColumnElement[Any]:
    """The log of a message with this attempt; when it is full, without the oldest."""
    entry = {"status": attempt.status, "problem": attempt.problem, "milliseconds": attempt.milliseconds}
    at = func.jsonb_build_object("at", func.to_jsonb(func.clock_timestamp()))
    log = HookMessage.attempt_log.op("||")(func.jsonb_build_array(at.op("||")(literal(entry, JSONB))))
    return case(
        (func.jsonb_array_length(HookMessage.attempt_log) < ATTEMPTS_KEPT, log), else_=log.op("-")(literal_column("0"))
    )


def _is_too_old(session: Session, message: Outgoing, pause: float) -> bool:
    """Whether the message would be more than a day old at its next attempt."""
    created_at = select(HookMessage.created_at).where(HookMessage.id == message.id).scalar_subquery()
    return bool(session.scalars(select(in_seconds(pause) > created_at + seconds(DAY_S))).one())


def _note_at_hook(session: Session, hook_id: UUID, message: Outgoing, attempt: Attempt) -> None:
    if attempt.verdict is Verdict.ACCEPTED:
        if message.hook_failures:
            _change_hook(session, hook_id, failures=0, failing_since=None)
        return
    fails: dict[str, Any] = {
        "failures": Hook.failures + 1,
        "failing_since": func.coalesce(Hook.failing_since, func.now()),
    }
    if attempt.retry_after:
        fails["not_before"] = in_seconds(min(attempt.retry_after, DAY_S))
    _change_hook(session, hook_id, **fails)
    if attempt.verdict is Verdict.GONE:
        _disable(session, hook_id, DisabledReason.GONE)
    else:
        is_long_ago = Hook.failing_since < func.now() - seconds(DISABLED_AFTER_S)
        _disable(session, hook_id, DisabledReason.FAILING, is_long_ago)


def _change_hook(session: Session, hook_id: UUID, *conditions: SQLColumnExpression[bool], **values: Any) -> None:
    session.execute(
        update(Hook)
        .where(Hook.id == hook_id, *conditions)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def _disable(session: Session, hook_id: UUID, reason: DisabledReason, *conditions: SQLColumnExpression[bool]) -> None:
    _change_hook(session, hook_id, Hook.enabled, *conditions, enabled=False, disabled_reason=reason.value)
