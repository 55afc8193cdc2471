"""The transactional outbox of hooks: messages are written by the transaction that changes their run.

A run without hooks pays one look into an index when it starts and one when it ends, inside statements that are sent
anyway. `runs.announces_contacts` says whether its checkpoints write messages at all.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Insert,
    SQLColumnExpression,
    Uuid,
    exists,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session

from models.hook import Hook, HookEvent, HookMessage, HookStream
from models.pauses import in_seconds
from models.run import Run
from models.status import RunStatus

CONTACTS_AT_ONCE = 100
"""The most contacts of one message."""
LINGER_S = 1.0
"""How long finished contacts wait for others, to be one message with them."""


def has_hook_for_contacts() -> ColumnElement[bool]:
    """Whether a hook is notified of finished contacts, for a statement about rows of `runs`."""
    return exists().where(*_is_notified(Run.account_id, Run.id, HookEvent.CONTACTS)).correlate_except(Hook)


def messages_about(run: FromClause, event: HookEvent, contents: Sequence[Sequence[int]] = ((),)) -> Insert:
    """The statement that writes messages about a run, for each hook that is notified.

    `run` has the columns `id` and `account_id`. Each of `contents` makes one message: the positions of its contacts.
    """
    notified = (
        select(Hook.id.label("hook_id"), run.c.id.label("run_id"))
        .where(*_is_notified(run.c.account_id, run.c.id, event))
        .cte("notified")
    )
    due_at = in_seconds(LINGER_S if event is HookEvent.CONTACTS else 0.0)
    # In order: two transactions that lock rows of the same hooks must not wait for each other.
    rows = select(notified.c.hook_id, notified.c.run_id, literal(len(contents)), due_at).order_by(notified.c.hook_id)
    new = insert(HookStream).from_select(["hook_id", "run_id", "last_number", "due_at"], rows)
    streams = (
        new.on_conflict_do_update(
            index_elements=[HookStream.hook_id, HookStream.run_id],
            set_={
                "last_number": HookStream.last_number + new.excluded.last_number,
                # Not sooner than a pause or a lease ends.
                "due_at": func.coalesce(HookStream.due_at, new.excluded.due_at),
            },
        )
        .returning(HookStream.hook_id, HookStream.run_id, HookStream.last_number)
        .cte("streams")
    )
    of_messages = func.jsonb_array_elements(literal([list(positions) for positions in contents], JSONB))
    each = of_messages.table_valued("value", with_ordinality="place", name="content").render_derived()
    messages = select(
        streams.c.hook_id,
        streams.c.run_id,
        streams.c.last_number - len(contents) + each.c.place,
        literal(event.value),
        each.c.value,
    ).select_from(streams.join(each, literal(True, Boolean)))  # noqa: FBT003 - SQL's word
    return insert(HookMessage).from_select(["hook_id", "run_id", "number", "event", "positions"], messages)


def announce_contacts(session: Session, run: Run, positions: Sequence[int]) -> None:
    """Write messages about contacts of a run that are finished. The caller holds the run's row."""
    of_run = select(literal(run.id, Uuid()).label("id"), literal(run.account_id, Uuid()).label("account_id")).cte("run")
    contents = [positions[start : start + CONTACTS_AT_ONCE] for start in range(0, len(positions), CONTACTS_AT_ONCE)]
    session.execute(messages_about(of_run, HookEvent.CONTACTS, contents))


def note_hook_for_contacts(session: Session, account_id: UUID) -> None:
    """Have the checkpoints of the account's unfinished runs write messages, after a hook for all runs has changed."""
    session.execute(
        update(Run)
        .where(
            Run.account_id == account_id,
            Run.status.in_([RunStatus.PENDING, RunStatus.RUNNING]),
            Run.announces_contacts.is_(False),
        )
        .values(announces_contacts=True)
        .execution_options(synchronize_session=False)
    )


def is_notified_of(
    account_id: SQLColumnExpression[UUID] | UUID, run_id: SQLColumnExpression[UUID] | UUID
) -> Sequence[SQLColumnExpression[bool]]:
    """Whether a hook is notified of a run at all, for a statement about rows of `hooks`."""
    of_run = exists().where(HookStream.hook_id == Hook.id, HookStream.run_id == run_id)
    is_named = of_run.correlate_except(HookStream)
    return (Hook.account_id == account_id, Hook.enabled, or_(Hook.every_run, is_named))


def _is_notified(
    account_id: SQLColumnExpression[UUID], run_id: SQLColumnExpression[UUID], event: HookEvent
) -> Sequence[SQLColumnExpression[bool]]:
    return (*is_notified_of(account_id, run_id), Hook.events.contains([event.value]))
