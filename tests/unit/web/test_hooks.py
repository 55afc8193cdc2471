"""Hooks and their deliveries in words."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from models.hook import Hook, HookMessage
from pipeline.hooks.overview import Attempt, Deliveries, Glance
from web.views.hooks import host_of, in_words, view_of_delivery, view_of_hook, views_of_run

AT = datetime(2026, 11, 27, 14, 17, tzinfo=UTC)
ONE, OTHER = UUID(int=1), UUID(int=2)
REFUSED = Attempt(AT, 503, "it answered 503", 84)
ACCEPTED = Attempt(AT, 204, "", 1084)
LOGGED = {"at": AT.isoformat(), "status": 503, "problem": "it answered 503", "milliseconds": 84}


def hook(**given: Any) -> Hook:
    return Hook(**{"id": ONE, "url": "https://crm.acme.example/in", "events": ["run.failed"], "enabled": True} | given)


def of_event(**given: Any) -> Deliveries:
    values: dict[str, Any] = {
        "hook_id": ONE, "url": "https://crm.acme.example/in", "description": "", "enabled": True,
        "event": "run.completed", "messages": 1, "delivered": 0, "pending": 0, "dead": 0, "message_id": OTHER,
        "state": "delivered", "attempts": 1, "due_at": None, "last": ACCEPTED,
    }  # fmt: skip
    return Deliveries(**values | given)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://crm.acme.example", "crm.acme.example"),
        ("https://crm.acme.example:8443/in?a=/b", "crm.acme.example:8443"),
        ("https://[::1]:9?a=https://x/", "[::1]:9"),
    ],
)
def test_the_host_of_a_url_has_its_port(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (["run.cancelled", "contact.finished", "run.completed", "run.failed"], "run ended, contacts finished"),
        (["run.failed", "run.completed"], "run completed, run failed"),
        (["run.progress"], "progress"),
    ],
)
def test_the_three_ends_of_a_run_are_one_thing(events: Sequence[str], words: str) -> None:
    assert in_words(events) == words


@pytest.mark.parametrize(
    ("given", "last", "state", "sentence"),
    [
        ({}, None, "idle", "nothing was sent lately"),
        ({}, ACCEPTED, "delivered", "last 27 Nov, 14:17: 204 in 1,084 ms"),
        ({}, REFUSED, "idle", "last 27 Nov, 14:17: it answered 503"),
        ({"failing_since": AT}, REFUSED, "again", "since 27 Nov, 14:17: it answered 503"),
        ({"failing_since": AT}, None, "again", "since 27 Nov, 14:17"),
        ({"enabled": False}, ACCEPTED, "disabled", "by you"),
        ({"enabled": False, "disabled_reason": "gone"}, REFUSED, "disabled", "its receiver answered 410"),
        ({"enabled": False, "disabled_reason": "failing"}, None, "disabled", "it accepted nothing for 5 days"),
    ],
)
def test_a_hook_is_in_the_state_that_its_deliveries_leave_it_in(
    given: dict[str, Any], last: Attempt | None, state: str, sentence: str
) -> None:
    view = view_of_hook(Glance(hook(**given), last, 0))

    assert (view.state, view.sentence) == (state, sentence)


@pytest.mark.parametrize(
    ("state", "attempts", "shown", "detail", "can_be_replayed"),
    [
        ("pending", 0, "pending", "waits its turn", False),
        ("pending", 3, "again", "3 attempts, the next on 27 Nov, 14:17", False),
        ("delivered", 1, "delivered", "1 attempt", True),
        ("dead", 12, "dead", "12 attempts", True),
        ("replayed", 12, "replayed", "12 attempts", False),
        ("skipped", 0, "skipped", "", False),
    ],
)
def test_a_delivery_tells_what_comes_next(
    state: str, attempts: int, shown: str, detail: str, can_be_replayed: bool
) -> None:
    message = HookMessage(state=state, attempts=attempts, attempt_log=[LOGGED] * attempts)

    view = view_of_delivery(hook(), message, AT)

    assert (view.state, view.detail, view.can_be_replayed) == (shown, detail, can_be_replayed)


def test_what_waits_for_a_disabled_hook_says_so() -> None:
    message = HookMessage(state="pending", attempts=1, attempt_log=[LOGGED])

    assert view_of_delivery(hook(enabled=False), message, AT).detail == "1 attempt, waits until the hook is enabled"


def test_the_first_row_of_a_hook_offers_to_replay_what_died_in_all_of_its_rows() -> None:
    rows = [
        of_event(delivered=1),
        of_event(event="contact.finished", messages=14, delivered=12, dead=2, last=REFUSED),
        of_event(event="run.progress", dead=1, state="dead", last=REFUSED),
        of_event(hook_id=OTHER, dead=1, state="dead", last=REFUSED),
    ]

    views = views_of_run(rows)

    assert [each.replays for each in views] == [0, 3, 0, 1]
    assert [each.can_be_replayed for each in views] == [True, False, False, False]
    assert [each.state for each in views] == ["delivered", "dead", "dead", "dead"]
    assert views[1].answer == "12 delivered, 2 dead"
    assert views[1].detail == "last 27 Nov, 14:17: it answered 503"


def test_messages_of_which_some_are_pending_are_so_together() -> None:
    waiting = {"messages": 3, "delivered": 2, "pending": 1, "due_at": AT}

    tried, new = views_of_run([of_event(**waiting, state="pending", last=REFUSED), of_event(**waiting)])

    assert (tried.state, new.state) == ("again", "pending")
    assert tried.answer == "2 delivered, 1 pending"
    assert tried.detail == "last 27 Nov, 14:17: it answered 503, the next on 27 Nov, 14:17"
