"""Messages are written by the transaction that changes the run, for the hooks that want them, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text

from models.database import Database
from models.hook import HookEvent
from models.hook_outbox import CONTACTS_AT_ONCE
from models.transitions import RunError, complete_run
from pipeline.errors import InvalidInput
from pipeline.hooks.deliveries import add_progress
from pipeline.hooks.endpoints import change_hook
from pipeline.runs import lifecycle
from pipeline.runs.retry import retry_run
from tests.factories import WORKER, account, owner_of, pending_run
from tests.unit.hooks.hooked import (
    ENDS,
    EVERYTHING,
    cancel,
    cancelled_run,
    execute,
    finish_next_chunk,
    hook,
    messages,
    number_of,
    run_in_verify,
)


class RolledBack(Exception):
    """Ends a transaction that is only a trial."""


def complete(database: Database, run_id: UUID) -> None:
    with database.transaction() as session:
        assert complete_run(session, run_id, WORKER)


def fail(database: Database, run_id: UUID) -> None:
    with database.transaction() as session:
        assert lifecycle.fail(session, run_id, RunError("broken", "It broke.", None))


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements that are sent until the block ends."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield sent
    event.remove(database.engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    ("end", "name"), [(complete, "run.completed"), (fail, "run.failed"), (cancel, "run.cancelled")]
)
def test_the_end_of_a_run_is_a_message_to_each_hook_that_wants_it(
    database: Database, owner: UUID, end: Any, name: str
) -> None:
    one, other = hook(database, owner), hook(database, owner, events=[HookEvent(name)])
    hook(database, owner, events=[HookEvent.PROGRESS])
    hook(database, account(database).account_id)
    disabled = hook(database, owner)
    with database.transaction() as session:
        change_hook(session, owner, disabled.id, {"enabled": False})
    run_id = run_in_verify(database, owner)

    end(database, run_id)

    assert messages(database, "hook_id", "run_id", "event", "state") == [
        (each.id, run_id, name, "pending") for each in (one, other)
    ]


def test_a_change_that_is_rolled_back_leaves_no_message(database: Database, owner: UUID) -> None:
    hook(database, owner)
    run_id = pending_run(database, account_id=owner)

    with pytest.raises(RolledBack), database.transaction() as session:
        lifecycle.cancel(session, owner, run_id)
        raise RolledBack

    assert number_of(database, "hook_messages") == number_of(database, "hook_streams") == 0


def test_a_change_that_takes_no_effect_is_no_message(database: Database, owner: UUID) -> None:
    hook(database, owner)
    run_id = cancelled_run(database, owner)

    with database.transaction() as session:
        assert lifecycle.fail(session, run_id, RunError("late", "Too late.", None)) is None

    assert messages(database) == ["run.cancelled"]


def test_a_hook_for_named_runs_is_notified_of_those_and_of_their_retries(database: Database, owner: UUID) -> None:
    named = hook(database, owner, every_run=False)
    cancelled_run(database, owner)
    run_id = cancelled_run(database, owner, hooks=[named.id])
    with database.transaction() as session:
        retry_id = retry_run(session, owner, run_id).run_id
    cancel(database, retry_id)

    assert sorted(messages(database, "run_id")) == sorted([run_id, retry_id])


def test_a_run_can_name_only_hooks_of_its_account(database: Database, owner: UUID) -> None:
    theirs, own = hook(database, account(database).account_id, every_run=False), hook(database, owner, every_run=False)

    with pytest.raises(InvalidInput, match=r"^field goal_plan\.output\.hooks: no hook of your account"):
        pending_run(database, account_id=owner, hooks=[own.id, theirs.id])

    assert number_of(database, "runs") == number_of(database, "hook_streams") == 0


def test_contacts_are_announced_by_the_last_stage_in_the_transaction_that_records_them(
    database: Database, owner: UUID
) -> None:
    hook(database, owner, events=[HookEvent.CONTACTS])
    run_id = run_in_verify(database, owner)
    assert messages(database) == []

    first, second = finish_next_chunk(database, run_id), finish_next_chunk(database, run_id)

    assert messages(database, "event", "positions") == [("contact.finished", first), ("contact.finished", second)]
    assert first + second == [0, 1, 2, 3]


def test_a_message_has_no_more_contacts_than_fit_into_one(database: Database, owner: UUID) -> None:
    hook(database, owner, events=[HookEvent.CONTACTS])
    many = 2 * CONTACTS_AT_ONCE + 1

    finish_next_chunk(database, run_in_verify(database, owner, many, chunk_size=many))

    found = messages(database, "number", "positions")
    assert [(number, len(positions)) for number, positions in found] == [(1, 100), (2, 100), (3, 1)]
    assert sorted(position for _, positions in found for position in positions) == list(range(many))


def test_a_hook_that_is_added_while_a_run_works_is_notified_of_what_comes(database: Database, owner: UUID) -> None:
    run_id = run_in_verify(database, owner)
    finish_next_chunk(database, run_id)
    hook(database, owner, events=EVERYTHING)

    positions = finish_next_chunk(database, run_id)

    assert messages(database, "event", "positions") == [("contact.finished", positions)]


def test_hooks_for_the_ends_of_runs_cost_no_statement(database: Database) -> None:
    """Those for contacts cost one each checkpoint, and only in the runs that they are notified of."""
    statements = []
    for events in ((), ENDS, (HookEvent.CONTACTS,)):
        owner = account(database).account_id
        if events:
            hook(database, owner, events=events)
        run_id = run_in_verify(database, owner)
        with counted(database) as sent:
            finish_next_chunk(database, run_id)
            complete(database, run_id)
        statements.append(len(sent))

    without, ends, contacts = statements
    assert ends == without
    assert contacts == without + 1


def test_progress_is_a_message_now_and_then_and_never_more_than_one_waits(database: Database, owner: UUID) -> None:
    hook(database, owner, events=[HookEvent.PROGRESS])
    hook(database, account(database).account_id, events=[HookEvent.PROGRESS])
    run_id = run_in_verify(database, owner)
    pending_run(database, account_id=owner)

    def look(*changes: str) -> int:
        execute(database, *changes)
        with database.transaction() as session:
            add_progress(session)
        return number_of(database, "hook_messages")

    long_ago = "UPDATE hook_streams SET progress_at = now() - interval '1 minute'"
    delivered = "UPDATE hook_streams SET done_number = last_number, due_at = NULL"
    moved = "UPDATE runs SET updated_at = clock_timestamp()"
    at_rest = "UPDATE runs SET updated_at = now() - interval '1 hour'"
    assert look() == 1
    assert messages(database, "run_id", "event") == [(run_id, "run.progress")]
    assert look(long_ago, moved) == 1
    assert look(delivered, at_rest) == 1
    assert look(moved) == 2
    assert look(delivered, moved) == 2


def test_the_outbox_holds_no_personal_data(database: Database, owner: UUID) -> None:
    hook(database, owner, events=EVERYTHING)
    finish_next_chunk(database, run_in_verify(database, owner))

    with database.transaction() as session:
        rows = session.execute(text("SELECT to_jsonb(m)::text FROM hook_messages m")).scalars().all()

    assert rows
    assert [row for row in rows if "given" in row.lower() or "alpha.test" in row] == []


def test_hooks_of_other_accounts_add_nothing(database: Database, owner: UUID) -> None:
    hook(database, owner, events=EVERYTHING)
    theirs = run_in_verify(database, account(database).account_id)
    finish_next_chunk(database, theirs)
    complete(database, theirs)

    assert owner_of(database, theirs) != owner
    assert number_of(database, "hook_messages") == number_of(database, "hook_streams") == 0
