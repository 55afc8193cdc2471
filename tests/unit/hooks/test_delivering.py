"""Each message is delivered at least once, in the order of its run, signed, and again until it is accepted."""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy.orm import Session
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from models.database import Database
from models.hook import Hook, HookEvent
from models.postgres_errors import PostgresUnavailable
from models.transitions import complete_run
from pipeline.hooks import log
from pipeline.hooks.deliveries import next_message
from pipeline.hooks.endpoints import change_hook, delete_hook, rotate_secret
from pipeline.hooks.retries import DAY_S, LONGEST_S, pause_after
from pipeline.results.links import Links
from tests.factories import WORKER, account
from tests.unit.hooks.hooked import (
    BUT_PROGRESS,
    LEASE_S,
    cancel,
    cancelled_run,
    deliver,
    execute,
    finish_next_chunk,
    hook,
    lease,
    let_pauses_pass,
    messages,
    move_clock,
    number_of,
    run_in_verify,
    with_deliverer,
)
from tests.unit.hooks.receiver import Received, Receiver, accept, answering, refuse
from worker.hooks.deliverer import Deliverer


def complete(database: Database, run_id: UUID) -> None:
    with database.transaction() as session:
        assert complete_run(session, run_id, WORKER)


def kinds(receiver: Receiver, hooked: Hook) -> list[str]:
    return [each.verified(hooked.secret)["type"] for each in receiver.received]


@pytest.fixture
def hooked(database: Database, owner: UUID, receiver: Receiver) -> Hook:
    """A hook that is notified of everything but progress."""
    return hook(database, owner, receiver.url, BUT_PROGRESS)


def worked_run(database: Database, owner: UUID) -> UUID:
    """A run with three messages: two of contacts that can't become one, and its end."""
    run_id = run_in_verify(database, owner)
    finish_next_chunk(database, run_id)
    execute(database, "UPDATE hook_messages SET attempts = 1")
    finish_next_chunk(database, run_id)
    complete(database, run_id)
    let_pauses_pass(database)
    return run_id


def test_a_message_is_signed_and_says_what_the_api_says(database: Database, hooked: Hook, receiver: Receiver) -> None:
    run_id = cancelled_run(database, hooked.account_id)

    deliver(database)

    (received,) = receiver.received
    body = received.verified(hooked.secret)
    assert (body["type"], body["data"]["run_id"], body["data"]["status"]) == ("run.cancelled", str(run_id), "cancelled")
    assert len(body["data"]) == 10
    assert datetime.now(UTC) - datetime.fromisoformat(body["timestamp"]) < timedelta(minutes=1)
    assert received.path == "/growth?token=t0ken"
    assert received.headers["Content-Type"] == "application/json"
    assert messages(database, "state", "attempts") == [("delivered", 1)]
    with pytest.raises(WebhookVerificationError):
        Webhook(hook(database, hooked.account_id).secret).verify(received.body, dict(received.headers))


def test_finished_contacts_come_as_the_api_shows_them_and_those_of_a_second_together(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    run_id = run_in_verify(database, hooked.account_id)
    finish_next_chunk(database, run_id)
    finish_next_chunk(database, run_id)

    deliver(database)
    assert receiver.received == []
    let_pauses_pass(database)
    deliver(database)

    (received,) = receiver.received
    data = received.verified(hooked.secret)["data"]
    assert data["run_id"] == str(run_id)
    assert [(each["first_name"], each["email"], each["email_status"]) for each in data["contacts"]] == [
        (f"Given{n}", f"given.family{n}@alpha.test", "valid") for n in range(4)
    ]


def test_messages_of_a_run_come_in_order(database: Database, hooked: Hook, receiver: Receiver) -> None:
    worked_run(database, hooked.account_id)

    deliver(database)

    assert kinds(receiver, hooked) == ["contact.finished", "contact.finished", "run.completed"]
    assert set(messages(database, "state")) == {"delivered"}


def test_a_message_that_fails_holds_up_its_run_and_no_other(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    broken = worked_run(database, hooked.account_id)
    others = [cancelled_run(database, hooked.account_id) for _ in range(3)]
    receiver.behave = lambda handler: handler.answer(500 if str(broken).encode() in handler.body else 204)

    for _ in range(4):
        deliver(database)

    ids = defaultdict(set)
    for each in receiver.received:
        ids[run_in(each)].add(each.id)
    assert ids.keys() == {str(run_id) for run_id in (broken, *others)}
    assert len(ids[str(broken)]) == 1


def test_a_receiver_that_comes_back_after_an_hour_gets_everything_in_order_with_the_ids_of_before(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    receiver.behave = refuse
    worked_run(database, hooked.account_id)
    for _ in range(7):
        deliver(database)
        let_pauses_pass(database)
    failed = {each.id for each in receiver.received}
    assert len(failed) == 1
    assert len(receiver.received) == 7

    receiver.behave = accept
    receiver.received.clear()
    move_clock(database, 1)
    deliver(database)

    assert kinds(receiver, hooked) == ["contact.finished", "contact.finished", "run.completed"]
    assert receiver.received[0].id in failed
    assert set(messages(database, "state")) == {"delivered"}


def test_the_pauses_grow_and_are_spread_and_end_within_a_day() -> None:
    pauses = [[pause_after(attempt) for attempt in range(1, 40)] for _ in range(20)]

    assert all(4 <= each[0] <= 6 for each in pauses)
    assert all(LONGEST_S * 0.8 <= each[-1] <= LONGEST_S * 1.2 for each in pauses)
    assert len({each[3] for each in pauses}) == 20
    attempts = [next(n for n in range(1, 40) if sum(each[:n]) > DAY_S) for each in pauses]
    assert min(attempts) >= 10
    assert max(attempts) <= 16
    assert pause_after(1, asked_for=1e12) == DAY_S


def test_a_message_that_nobody_accepts_for_a_day_is_dead_and_the_next_is_tried_all_the_same(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    receiver.behave = refuse
    worked_run(database, hooked.account_id)
    move_clock(database, 25)

    deliver(database, looks=3)

    assert messages(database, "event", "state", "attempts") == [
        ("contact.finished", "dead", 2), ("contact.finished", "dead", 1), ("run.completed", "dead", 1),
    ]  # fmt: skip
    assert kinds(receiver, hooked) == ["contact.finished", "contact.finished", "run.completed"]


def test_dead_messages_are_replayed_in_order_with_the_ids_of_before(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    receiver.behave = refuse
    run_id = worked_run(database, hooked.account_id)
    move_clock(database, 25)
    deliver(database, looks=3)
    first = [each.id for each in receiver.received]
    receiver.received.clear()
    receiver.behave = accept

    with database.transaction() as session:
        assert log.replay_dead(session, hooked.account_id, hooked.id, 100, run_id) == 3
        assert log.replay_dead(session, hooked.account_id, hooked.id, 100) == 0
    let_pauses_pass(database)
    deliver(database)

    assert [each.id for each in receiver.received] == first
    assert kinds(receiver, hooked) == ["contact.finished", "contact.finished", "run.completed"]
    assert messages(database, "state") == ["replayed"] * 3 + ["delivered"] * 3


def test_a_receiver_that_asks_for_time_gets_it(database: Database, hooked: Hook, receiver: Receiver) -> None:
    receiver.behave = answering(429, Retry_After="7200")
    cancelled_run(database, hooked.account_id)
    cancelled_run(database, hooked.account_id)
    deliver(database)
    receiver.behave, asked = accept, len(receiver.received)

    move_clock(database, 1.9)
    deliver(database)
    assert len(receiver.received) == asked
    move_clock(database, 0.2)
    deliver(database, looks=2)

    assert set(messages(database, "state")) == {"delivered"}


def test_a_receiver_that_is_gone_gets_nothing_until_its_hook_is_enabled(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    receiver.behave = answering(410)
    cancelled_run(database, hooked.account_id)
    deliver(database)
    let_pauses_pass(database)
    deliver(database)
    assert len(receiver.received) == 1
    assert reason_of(database, hooked) == (False, "gone")

    receiver.behave = accept
    with database.transaction() as session:
        change_hook(session, hooked.account_id, hooked.id, {"enabled": True})
    deliver(database)

    assert reason_of(database, hooked) == (True, None)
    assert messages(database, "state") == ["delivered"]


def test_a_hook_that_fails_for_days_is_disabled(database: Database, hooked: Hook, receiver: Receiver) -> None:
    receiver.behave = refuse
    reasons = []
    for hours in (0, 4 * 24, 25):
        move_clock(database, hours)
        cancelled_run(database, hooked.account_id)
        deliver(database)
        reasons.append(reason_of(database, hooked))

    assert reasons == [(True, None), (True, None), (False, "failing")]


def reason_of(database: Database, hooked: Hook) -> tuple[bool, str | None]:
    with database.transaction() as session:
        now = session.get_one(Hook, hooked.id)
        return now.enabled, now.disabled_reason


def test_a_failing_hook_is_tried_with_one_run_at_a_time(database: Database, hooked: Hook, receiver: Receiver) -> None:
    receiver.behave = refuse
    for _ in range(9):
        cancelled_run(database, hooked.account_id)
    deliver(database)
    asked = len(receiver.received)

    deliver(database)

    assert asked == 4
    assert len(receiver.received) == asked + 1


def test_after_a_rotation_both_secrets_verify_until_the_former_has_ended(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    with database.transaction() as session:
        new = rotate_secret(session, hooked.account_id, hooked.id, overlap_hours=24).secret
    cancelled_run(database, hooked.account_id)
    deliver(database)
    move_clock(database, 25)
    cancelled_run(database, hooked.account_id)
    deliver(database)

    during, after = receiver.received
    assert during.verified(new) == during.verified(hooked.secret)
    assert after.verified(new)
    with pytest.raises(WebhookVerificationError):
        after.verified(hooked.secret)


def test_a_rotation_without_overlap_ends_the_former_secret_at_once(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    with database.transaction() as session:
        rotate_secret(session, hooked.account_id, hooked.id, overlap_hours=0)
    cancelled_run(database, hooked.account_id)
    deliver(database)

    with pytest.raises(WebhookVerificationError):
        receiver.received[0].verified(hooked.secret)


def test_a_process_that_dies_while_it_sends_leaves_the_message_to_the_next_one_unchanged(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    """Contacts that finish meanwhile come in a message of their own: a receiver may know the first one already."""
    run_id = run_in_verify(database, hooked.account_id)
    finish_next_chunk(database, run_id)
    let_pauses_pass(database)
    (stream,) = lease(database)
    with database.transaction() as session:
        sent = next_message(session, stream, LEASE_S, Links())
    assert sent is not None
    finish_next_chunk(database, run_id)

    deliver(database)
    assert receiver.received == []
    move_clock(database, (LEASE_S + 1) / 3600)
    deliver(database)

    first, second = receiver.received
    assert first.id == sent.webhook_id
    assert first.verified(hooked.secret)["data"] == json.loads(sent.body)["data"]
    assert [len(each.verified(hooked.secret)["data"]["contacts"]) for each in (first, second)] == [2, 2]
    assert first.id != second.id


def test_two_processes_never_deliver_the_same_stream_at_once(database: Database, hooked: Hook) -> None:
    for _ in range(3):
        cancelled_run(database, hooked.account_id)

    first, second = lease(database), lease(database)

    assert len(first) == 3
    assert second == []


class Away:
    """A database that is away for a while, from its n-th transaction on."""

    def __init__(self, database: Database, begins: int, lasts: int) -> None:
        self._database = database
        self._away = range(begins, begins + lasts)
        self.transactions = 0

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        number, self.transactions = self.transactions, self.transactions + 1
        if number in self._away:
            raise PostgresUnavailable("away")
        with self._database.transaction() as session:
            yield session


@pytest.mark.parametrize("begins", [0, 1, 2])
def test_postgres_may_be_away_at_any_point(
    database: Database, hooked: Hook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, begins: int
) -> None:
    """While it is looked for messages, while one is taken, and while it is recorded: that is tried again."""
    monkeypatch.setattr("worker.hooks.deliverer.RECORD_AGAIN_S", 0.01)
    cancelled_run(database, hooked.account_id)
    away = Away(database, begins, lasts=2)

    async def look(deliverer: Deliverer) -> None:
        for _ in range(3):
            await deliverer.look()
            await deliverer.finish()
            let_pauses_pass(database)

    with_deliverer(away, look)  # type: ignore[arg-type]

    assert kinds(receiver, hooked) == ["run.cancelled"]
    assert messages(database, "state") == ["delivered"]


def test_progress_of_a_run_that_has_ended_is_not_sent(database: Database, owner: UUID, receiver: Receiver) -> None:
    hooked = hook(database, owner, receiver.url, [HookEvent.PROGRESS, HookEvent.CANCELLED])
    run_id = run_in_verify(database, hooked.account_id)
    deliver(database)
    deliver(database)
    assert kinds(receiver, hooked) == ["run.progress"]
    execute(database, "UPDATE hook_streams SET progress_at = now() - interval '1 hour'")
    execute(database, "UPDATE runs SET updated_at = clock_timestamp()")
    receiver.behave = refuse
    deliver(database)
    cancel(database, run_id)
    receiver.behave = accept
    receiver.received.clear()
    let_pauses_pass(database)

    deliver(database, looks=2)

    assert kinds(receiver, hooked) == ["run.cancelled"]
    assert messages(database, "state") == ["delivered", "skipped", "delivered"]


def test_contacts_whose_data_is_deleted_are_not_sent(database: Database, hooked: Hook, receiver: Receiver) -> None:
    run_id = run_in_verify(database, hooked.account_id)
    finish_next_chunk(database, run_id)
    cancel(database, run_id)
    execute(database, "UPDATE runs SET retracted_at = now()")
    let_pauses_pass(database)

    deliver(database)

    assert kinds(receiver, hooked) == ["run.cancelled"]
    assert messages(database, "state") == ["skipped", "delivered"]


def test_each_account_gets_its_own(
    database: Database, hooked: Hook, receiver: Receiver, other_receiver: Receiver
) -> None:
    stranger = account(database).account_id
    hook(database, stranger, other_receiver.url)
    mine, theirs = cancelled_run(database, hooked.account_id), cancelled_run(database, stranger)

    deliver(database)

    assert [run_in(each) for each in receiver.received] == [str(mine)]
    assert [run_in(each) for each in other_receiver.received] == [str(theirs)]


def run_in(received: Received) -> str:
    return str(json.loads(received.body)["data"]["run_id"])


def test_a_hook_can_be_deleted_while_it_is_delivered_to(database: Database, hooked: Hook, receiver: Receiver) -> None:
    def delete(handler: object) -> None:
        with database.transaction() as session:
            delete_hook(session, hooked.account_id, hooked.id)
        accept(handler)  # type: ignore[arg-type]

    receiver.behave = delete
    cancelled_run(database, hooked.account_id)

    deliver(database)

    assert len(receiver.received) == 1
    assert number_of(database, "hook_messages") == number_of(database, "hook_streams") == 0


def test_a_lease_that_was_lost_while_its_message_was_accepted_does_not_stop_the_stream(
    database: Database, hooked: Hook, receiver: Receiver
) -> None:
    def steal(handler: object) -> None:
        receiver.behave = accept
        let_pauses_pass(database)
        assert len(lease(database)) == 1
        accept(handler)  # type: ignore[arg-type]

    receiver.behave = steal
    worked_run(database, hooked.account_id)
    deliver(database)
    assert len(receiver.received) == 1

    let_pauses_pass(database)
    deliver(database)

    assert kinds(receiver, hooked) == ["contact.finished", "contact.finished", "run.completed"]
    assert HookEvent.COMPLETED in messages(database)
