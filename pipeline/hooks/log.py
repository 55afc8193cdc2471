"""The log of a hook's deliveries, and replays."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.orm import Session

from models.hook import HookMessage, MessageState
from pipeline.errors import HookConflict, UnknownHook
from pipeline.hooks.endpoints import hook_of_account

NO_DELIVERY = "This hook has no delivery with this id: `growth hooks deliveries` lists those that are kept."

# A replay goes to the end of its run's messages, with the id of the first one. What was dead is dead no longer.
REPLAY = text("""
WITH chosen AS (
  SELECT id, hook_id, run_id, number, event, positions, replay_of,
    row_number() OVER (PARTITION BY run_id ORDER BY number) AS place, count(*) OVER (PARTITION BY run_id) AS of_run
  FROM hook_messages WHERE id = ANY(CAST(:ids AS uuid[]))
), streams AS (
  INSERT INTO hook_streams AS s (hook_id, run_id, last_number, due_at)
  SELECT hook_id, run_id, count(*), now() FROM chosen GROUP BY hook_id, run_id ORDER BY run_id
  ON CONFLICT (hook_id, run_id) DO UPDATE
  SET last_number = s.last_number + excluded.last_number, due_at = coalesce(s.due_at, excluded.due_at)
  RETURNING hook_id, run_id, last_number
), marked AS (
  UPDATE hook_messages SET state = 'replayed' WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'dead'
)
INSERT INTO hook_messages (hook_id, run_id, number, event, positions, replay_of)
SELECT c.hook_id, c.run_id, s.last_number - c.of_run + c.place, c.event, c.positions, coalesce(c.replay_of, c.id)
FROM chosen c JOIN streams s USING (hook_id, run_id)
""")


def deliveries(
    session: Session,
    account_id: UUID,
    hook_id: UUID,
    count: int,
    *,
    states: Sequence[MessageState] = (),
    run_id: UUID | None = None,
    after: UUID | None = None,
) -> Sequence[HookMessage]:
    """The messages of a hook, newest first, behind the message `after`. Raises `UnknownHook`."""
    hook_of_account(session, account_id, hook_id)
    place = tuple_(HookMessage.created_at, HookMessage.id)
    wanted = select(HookMessage).where(HookMessage.hook_id == hook_id)
    if states:
        wanted = wanted.where(HookMessage.state.in_([state.value for state in states]))
    if run_id:
        wanted = wanted.where(HookMessage.run_id == run_id)
    if after:
        last = _message(session, hook_id, after)
        wanted = wanted.where(place < tuple_(last.created_at, last.id))
    return session.scalars(wanted.order_by(HookMessage.created_at.desc(), HookMessage.id.desc()).limit(count)).all()


def replay(session: Session, account_id: UUID, hook_id: UUID, message_id: UUID) -> None:
    """Deliver a message again. Raises `UnknownHook`, and `HookConflict` for one that is still to be delivered."""
    hook_of_account(session, account_id, hook_id)
    message = _message(session, hook_id, message_id, lock=True)
    if message.state == MessageState.PENDING:
        raise HookConflict("This delivery is pending: it is made as soon as its turn has come.")
    session.execute(REPLAY, {"ids": [message.id]})


def replay_dead(session: Session, account_id: UUID, hook_id: UUID, count: int, run_id: UUID | None = None) -> int:
    """Deliver dead messages again, the oldest first; return how many. Raises `UnknownHook`."""
    hook_of_account(session, account_id, hook_id)
    dead = select(HookMessage.id).where(HookMessage.hook_id == hook_id, HookMessage.state == MessageState.DEAD)
    if run_id:
        dead = dead.where(HookMessage.run_id == run_id)
    oldest = dead.order_by(HookMessage.created_at, HookMessage.id).limit(count).with_for_update(skip_locked=True)
    ids = session.scalars(oldest).all()
    if ids:
        session.execute(REPLAY, {"ids": ids})
    return len(ids)


def _message(session: Session, hook_id: UUID, message_id: UUID, *, lock: bool = False) -> HookMessage:
    statement = select(HookMessage).where(HookMessage.id == message_id, HookMessage.hook_id == hook_id)
    message = session.scalar(statement.with_for_update() if lock else statement)
    if message is None:
        raise UnknownHook(NO_DELIVERY)
    return message
