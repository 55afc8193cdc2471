"""The log of deliveries: pages, replays, and its bounds."""

from uuid import UUID, uuid4

import pytest

from models.bounds import HOOKS
from models.database import Database
from models.hook import Hook, MessageState
from pipeline.errors import HookConflict, InvalidInput, UnknownHook
from pipeline.hooks import expiry, log
from pipeline.hooks.deliveries import ATTEMPTS_KEPT
from pipeline.hooks.endpoints import change_hook, delete_hook, hook_of_account, list_hooks, rotate_secret
from pipeline.hooks.secrets import LENGTH, new_secret, written
from tests.factories import account
from tests.unit.hooks.hooked import (
    cancelled_run,
    deliver,
    execute,
    hook,
    let_pauses_pass,
    messages,
    move_clock,
    number_of,
)
from tests.unit.hooks.receiver import Receiver, refuse


@pytest.fixture
def hooked(database: Database, owner: UUID, receiver: Receiver) -> Hook:
    return hook(database, owner, receiver.url)


def test_the_log_comes_in_pages_newest_first(database: Database, hooked: Hook) -> None:
    runs = [cancelled_run(database, hooked.account_id) for _ in range(5)]
    seen: list[UUID] = []
    after = None
    with database.transaction() as session:
        while page := log.deliveries(session, hooked.account_id, hooked.id, 2, after=after):
            seen += [message.run_id for message in page]
            after = page[-1].id
        pending = log.deliveries(session, hooked.account_id, hooked.id, 9, states=[MessageState.PENDING])
        of_one = log.deliveries(session, hooked.account_id, hooked.id, 9, run_id=runs[0])

    assert seen == runs[::-1]
    assert len(pending) == 5
    assert [message.run_id for message in of_one] == runs[:1]


def test_a_delivered_message_is_replayed_with_the_same_id_behind_the_others(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    cancelled_run(database, hooked.account_id)
    deliver(database)
    (first,) = messages(database, "id")

    for _ in range(2):
        with database.transaction() as session:
            log.replay(session, hooked.account_id, hooked.id, first)
        deliver(database)
        first = messages(database, "id")[-1]

    assert len({each.id for each in receiver.received}) == 1
    assert messages(database, "number", "state") == [(1, "delivered"), (2, "delivered"), (3, "delivered")]


def test_what_is_pending_is_not_replayed(database: Database, hooked: Hook) -> None:
    cancelled_run(database, hooked.account_id)

    with pytest.raises(HookConflict), database.transaction() as session:
        log.replay(session, hooked.account_id, hooked.id, messages(database, "id")[0])


def test_hooks_of_other_accounts_are_unknown(database: Database, hooked: Hook) -> None:
    stranger = account(database).account_id
    theirs = hook(database, stranger)
    cancelled_run(database, hooked.account_id)
    (message,) = messages(database, "id")
    calls = [
        lambda session: hook_of_account(session, stranger, hooked.id),
        lambda session: change_hook(session, stranger, hooked.id, {"enabled": False}),
        lambda session: rotate_secret(session, stranger, hooked.id, 1),
        lambda session: delete_hook(session, stranger, hooked.id),
        lambda session: log.deliveries(session, stranger, hooked.id, 9),
        lambda session: log.replay(session, stranger, hooked.id, message),
        lambda session: log.replay(session, stranger, theirs.id, message),
        lambda session: log.replay_dead(session, stranger, hooked.id, 9),
        lambda session: hook_of_account(session, stranger, uuid4()),
    ]

    for call in calls:
        with pytest.raises(UnknownHook), database.transaction() as session:
            call(session)
    with database.transaction() as session:
        assert [each.id for each in list_hooks(session, stranger)] == [theirs.id]
        assert hook_of_account(session, hooked.account_id, hooked.id).enabled


def test_an_account_has_a_bounded_number_of_hooks(database: Database, owner: UUID) -> None:
    for _ in range(HOOKS.most):
        hook(database, owner)

    with pytest.raises(InvalidInput, match="The account has 20 hooks, which is the most"):
        hook(database, owner)
    hook(database, account(database).account_id)


def test_the_log_of_a_message_keeps_the_newest_attempts(database: Database, hooked: Hook, receiver: Receiver) -> None:
    receiver.behave = refuse
    cancelled_run(database, hooked.account_id)
    execute(
        database,
        f"UPDATE hook_messages SET attempt_log = (SELECT jsonb_agg(n) FROM generate_series(1, {ATTEMPTS_KEPT}) n)",
    )

    deliver(database)

    (attempts,) = messages(database, "attempt_log")
    assert len(attempts) == ATTEMPTS_KEPT
    assert attempts[0] == 2
    assert attempts[-1]["status"] == 500


def test_old_messages_and_what_is_known_of_their_runs_are_deleted(database: Database, hooked: Hook) -> None:
    old = cancelled_run(database, hooked.account_id)
    deliver(database)
    move_clock(database, 24 * 15)
    execute(database, "UPDATE runs SET finished_at = finished_at - interval '15 days'")
    young = cancelled_run(database, hooked.account_id)
    # The id of a run begins with the time of its creation.
    ancient = UUID(int=old.int & ((1 << 80) - 1))
    execute(
        database,
        f"INSERT INTO runs SELECT (jsonb_populate_record(r, jsonb_build_object('id', '{ancient}'))).* FROM runs r"
        f" WHERE id = '{old}'",
        f"UPDATE hook_streams SET run_id = '{ancient}' WHERE run_id = '{old}'",
        f"UPDATE hook_messages SET run_id = '{ancient}' WHERE run_id = '{old}'",
    )

    with database.transaction() as session:
        kept_too_long = expiry.delete_streams(session, 14)
        deleted = expiry.delete_messages(session, 14), expiry.delete_streams(session, 14)

    assert (kept_too_long, deleted) == (0, (1, 1))
    assert messages(database, "run_id") == [young]
    assert number_of(database, "hook_streams") == 1


def test_messages_that_were_deleted_before_they_were_delivered_leave_no_stream_waiting(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    cancelled_run(database, hooked.account_id)
    execute(database, "DELETE FROM hook_messages")

    deliver(database)

    assert receiver.received == []
    with database.transaction() as session:
        assert session.scalars(_due()).all() == [None]


def _due():  # type: ignore[no-untyped-def]
    from sqlalchemy import select

    from models.hook import HookStream

    return select(HookStream.due_at)


def test_of_each_hook_only_the_newest_finished_messages_are_kept(
    database: Database, hooked: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "KEPT_PER_HOOK", 2)
    runs = [cancelled_run(database, hooked.account_id) for _ in range(4)]
    for _ in range(2):
        deliver(database)
    waiting = cancelled_run(database, hooked.account_id)
    let_pauses_pass(database)

    with database.transaction() as session:
        assert expiry.delete_surplus(session, 14) == 3
        assert expiry.delete_surplus(session, 14) == 0

    assert sorted(messages(database, "run_id")) == sorted([runs[-1], waiting])


def test_secrets_are_random_and_written_as_the_standard_has_them() -> None:
    one, other = new_secret(), new_secret()

    assert one != other
    assert len(one) == LENGTH
    assert written(bytes(24)) == "whsec_" + "A" * 32
