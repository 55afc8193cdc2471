"""Hooks at a glance, and the deliveries of one run."""

from uuid import UUID

import pytest

from models.database import Database
from models.hook import Hook, HookEvent
from pipeline.errors import UnknownHook
from pipeline.hooks import log, overview
from pipeline.hooks.endpoints import change_hook
from tests.factories import account, pending_run
from tests.unit.hooks.hooked import (
    BUT_PROGRESS,
    cancel,
    cancelled_run,
    deliver,
    execute,
    finish_next_chunk,
    hook,
    let_pauses_pass,
    messages,
    move_clock,
    run_in_verify,
)
from tests.unit.hooks.receiver import Receiver, refuse


@pytest.fixture
def hooked(database: Database, owner: UUID, receiver: Receiver) -> Hook:
    return hook(database, owner, receiver.url, BUT_PROGRESS)


def glance(database: Database, of: Hook) -> overview.Glance:
    with database.transaction() as session:
        return overview.glance_at(session, of.account_id, of.id)


def of_run(database: Database, of: Hook, run_id: UUID) -> dict[str, overview.Deliveries]:
    with database.transaction() as session:
        return {each.event: each for each in overview.deliveries_of_run(session, of.account_id, run_id)}


def let_a_day_pass(database: Database) -> None:
    move_clock(database, 25)
    let_pauses_pass(database)


def test_a_hook_shows_its_last_attempt_although_newer_messages_wait(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    new = glance(database, hooked)
    run_id = run_in_verify(database, hooked.account_id)
    receiver.behave = refuse
    finish_next_chunk(database, run_id)
    let_pauses_pass(database)
    deliver(database)
    cancel(database, run_id)

    tried = glance(database, hooked)

    assert (new.last, new.dead) == (None, 0)
    assert tried.last
    assert (tried.last.status, tried.last.problem) == (500, "it answered 500")
    assert tried.hook.failing_since


def test_dead_deliveries_are_counted_until_they_are_replayed(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    other = hook(database, hooked.account_id)
    receiver.behave = refuse
    cancelled_run(database, hooked.account_id)
    execute(database, f"UPDATE hooks SET enabled = (id = '{hooked.id}')")
    deliver(database)
    let_a_day_pass(database)
    deliver(database)
    dead = glance(database, hooked).dead, glance(database, other).dead
    with database.transaction() as session:
        log.replay_dead(session, hooked.account_id, hooked.id, 9)

    assert dead == (1, 0)
    assert glance(database, hooked).dead == 0


def test_deliveries_of_a_run_are_counted_by_event_with_the_newest_attempt(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    cancelled_run(database, hooked.account_id)
    run_id = run_in_verify(database, hooked.account_id)
    for _ in range(2):
        finish_next_chunk(database, run_id)
        let_pauses_pass(database)
        deliver(database)
    receiver.behave = refuse
    cancel(database, run_id)
    deliver(database)

    found = of_run(database, hooked, run_id)

    contacts, end = found[HookEvent.CONTACTS], found[HookEvent.CANCELLED]
    assert list(found) == [HookEvent.CANCELLED, HookEvent.CONTACTS]
    assert (contacts.messages, contacts.delivered, contacts.pending, contacts.dead) == (2, 2, 0, 0)
    assert (end.messages, end.pending, end.state, end.attempts) == (1, 1, "pending", 1)
    assert end.last
    assert end.last.status == 500
    assert end.due_at
    assert [end.message_id] == messages(database, "id", of=run_id)[-1:]


def test_what_an_account_has_of_hooks_is_for_it_alone(database: Database, hooked: Hook) -> None:
    run_id = cancelled_run(database, hooked.account_id)
    stranger = account(database).account_id

    with database.transaction() as session:
        assert overview.hooks_at_a_glance(session, stranger) == []
        assert overview.deliveries_of_run(session, stranger, run_id) == []
        assert overview.hooks_of_run(session, stranger, run_id) == []
        for look in (overview.glance_at, lambda *given: overview.log_page(*given, 9)):
            with pytest.raises(UnknownHook):
                look(session, stranger, hooked.id)


def test_a_run_is_followed_by_hooks_of_every_run_and_by_those_that_it_names(database: Database, hooked: Hook) -> None:
    named, not_named, disabled = (
        hook(database, hooked.account_id, every_run=every_run) for every_run in (False, False, True)
    )
    with database.transaction() as session:
        change_hook(session, hooked.account_id, disabled.id, {"enabled": False})
    run_id = pending_run(database, account_id=hooked.account_id, hooks=[str(named.id)])

    with database.transaction() as session:
        found = overview.hooks_of_run(session, hooked.account_id, run_id)

    assert [each.id for each in found] == [hooked.id, named.id]
    assert not_named.id


def test_a_page_of_the_log_knows_when_what_is_pending_is_due(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    receiver.behave = refuse
    runs = [cancelled_run(database, hooked.account_id) for _ in range(3)]
    deliver(database)

    with database.transaction() as session:
        first = overview.log_page(session, hooked.account_id, hooked.id, 2)
        second = overview.log_page(session, hooked.account_id, hooked.id, 2, after=first.next)

    assert [each.run_id for each in (*first.messages, *second.messages)] == runs[::-1]
    assert second.next is None
    assert set(first.due) == set(runs[1:])
