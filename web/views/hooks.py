"""Hooks and their deliveries, in words."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from models.bounds import HOOK_DESCRIPTION, HOOK_URL
from models.hook import DisabledReason, Hook, HookEvent, HookMessage, MessageState
from models.hook_outbox import CONTACTS_AT_ONCE
from pipeline.hooks.deliveries import DISABLED_AFTER_S, PROGRESS_EVERY_S
from pipeline.hooks.overview import Attempt, Deliveries, Glance, attempt_of
from web.views.formats import count_of, duration, moment

ENDS = (HookEvent.COMPLETED, HookEvent.FAILED, HookEvent.CANCELLED)
EVENTS = {
    HookEvent.COMPLETED: "run completed",
    HookEvent.FAILED: "run failed",
    HookEvent.CANCELLED: "run cancelled",
    HookEvent.PROGRESS: "progress",
    HookEvent.CONTACTS: "contacts finished",
}
HINTS = {
    HookEvent.PROGRESS: f"Every {duration(PROGRESS_EVERY_S)} at most.",
    HookEvent.CONTACTS: f"In messages of up to {CONTACTS_AT_ONCE}.",
}
HOOK_STATES = {"idle": "Enabled", "delivered": "Works", "again": "Fails", "disabled": "Disabled"}
DELIVERY_STATES = {
    "pending": "Pending",
    "again": "Will try again",
    "delivered": "Delivered",
    "dead": "Dead",
    "replayed": "Replayed",
    "skipped": "Skipped",
}
WHY_DISABLED = {
    DisabledReason.GONE: "its receiver answered 410",
    DisabledReason.FAILING: f"it accepted nothing for {duration(DISABLED_AFTER_S)}",
}
OVERLAPS = {"0": "not at all", "24": "for 24 hours", "168": "for a week"}
"""For how many hours the present secret signs beside a new one."""


class HookFields(NamedTuple):
    """What stands in the form of a hook, by the API's names."""

    url: str = ""
    description: str = ""
    events: Sequence[str] = ENDS
    runs: str = "all"


class HookView(NamedTuple):
    """A hook: its host, what it is notified of, and the state that its last deliveries leave it in."""

    hook: Hook
    host: str
    events: str
    state: str
    sentence: str
    dead: int


class DeliveryView(NamedTuple):
    """A delivery in the log of a hook."""

    message: HookMessage
    state: str
    answer: str
    detail: str
    attempts: Sequence[Attempt]
    """The newest first."""

    @property
    def can_be_replayed(self) -> bool:
        """What is pending is delivered anyway, and of the others nothing is left, or a later one took its place."""
        return self.message.state in (MessageState.DELIVERED, MessageState.DEAD)


class DeliveriesView(NamedTuple):
    """The deliveries of a run to a hook, of one event. A button replays the one that there is, or all dead ones."""

    of: Deliveries
    host: str
    state: str
    answer: str
    detail: str
    replays: int
    """The dead deliveries of the run to this hook; the first of its rows that has any offers to replay them."""
    can_be_replayed: bool


def host_of(url: str) -> str:
    """The host of a URL that is stored, with its port."""
    rest = url.partition("://")[2]
    return rest[: min((rest.find(end) for end in "/?" if end in rest), default=len(rest))]


def fields_of(hook: Hook) -> HookFields:
    """The form that changes a hook."""
    return HookFields(hook.url, hook.description, hook.events, "all" if hook.every_run else "named")


def in_words(events: Sequence[str]) -> str:
    """What a hook is notified of; the three ends of a run in two words."""
    has_ends = set(ENDS) <= set(events)
    words = [EVENTS[event] for event in HookEvent if event in events and not (has_ends and event in ENDS)]
    return ", ".join(["run ended", *words] if has_ends else words)


def view_of_hook(glance: Glance) -> HookView:
    """A hook as it is listed."""
    hook = glance.hook
    state, sentence = _standing(hook, glance.last)
    return HookView(hook, host_of(hook.url), in_words(hook.events), state, sentence, glance.dead)


def view_of_delivery(hook: Hook, message: HookMessage, due_at: datetime | None) -> DeliveryView:
    """A delivery as it is listed. The next attempt is at `due_at`, if it is pending and was tried."""
    attempts = [attempt_of(entry) for entry in message.attempt_log]
    waits = _waits(due_at, message.attempts, is_enabled=hook.enabled) if message.state == MessageState.PENDING else ""
    return DeliveryView(
        message,
        _state(message.state, message.attempts),
        _answer(message.state, attempts[-1] if attempts else None),
        _joined(_tries(message.attempts), waits),
        attempts[::-1],
    )


def views_of_run(found: Sequence[Deliveries]) -> Sequence[DeliveriesView]:
    """The deliveries of a run, by hook and event."""
    dead: dict[UUID, int] = {}
    for each in found:
        dead[each.hook_id] = dead.get(each.hook_id, 0) + each.dead
    return [_of_event(each, dead.pop(each.hook_id, 0) if each.dead else 0) for each in found]


def _of_event(each: Deliveries, replays: int) -> DeliveriesView:
    last = _answer(each.state, each.last)
    waits = _waits(each.due_at, each.attempts, is_enabled=each.enabled) if each.pending else ""
    if each.messages > 1:
        answer, detail = _counts(each), _joined(f"last {last}" if each.last else "", waits)
    else:
        answer, detail = last, _joined(_tries(each.attempts), waits)
    is_alone = each.messages == 1 and each.state == MessageState.DELIVERED
    return DeliveriesView(each, host_of(each.url), _state_of_all(each), answer, detail, replays, is_alone)


def _standing(hook: Hook, last: Attempt | None) -> tuple[str, str]:
    if not hook.enabled:
        return "disabled", WHY_DISABLED[DisabledReason(hook.disabled_reason)] if hook.disabled_reason else "by you"
    if hook.failing_since:
        since = f"since {moment(hook.failing_since)}"
        return "again", f"{since}: {last.problem}" if last and last.problem else since
    if last is None:
        return "idle", "nothing was sent lately"
    return "idle" if last.problem else "delivered", f"last {_when_and_what(last)}"


def _state(state: str, attempts: int) -> str:
    return "again" if state == MessageState.PENDING and attempts else state


def _state_of_all(each: Deliveries) -> str:
    if each.dead:
        return MessageState.DEAD
    if each.pending:
        return _state(MessageState.PENDING, each.attempts if each.state == MessageState.PENDING else 0)
    return MessageState.DELIVERED if each.delivered else each.state


def _counts(each: Deliveries) -> str:
    parts = {"delivered": each.delivered, "dead": each.dead, "pending": each.pending}
    return ", ".join(f"{count:,} {word}" for word, count in parts.items() if count) or count_of(
        each.messages, "message"
    )


def _answer(state: str, last: Attempt | None) -> str:
    if state == MessageState.SKIPPED:
        return "nothing was left to deliver"
    return _when_and_what(last) if last else "not tried yet"


def _when_and_what(attempt: Attempt) -> str:
    what = attempt.problem or f"{attempt.status} in {attempt.milliseconds:,} ms"
    return f"{moment(attempt.at)}: {what}"


def _tries(attempts: int) -> str:
    return count_of(attempts, "attempt") if attempts else ""


def _waits(due_at: datetime | None, attempts: int, *, is_enabled: bool) -> str:
    if not is_enabled:
        return "waits until the hook is enabled"
    return f"the next on {moment(due_at)}" if due_at and attempts else "waits its turn"


def _joined(*parts: str) -> str:
    return ", ".join(filter(None, parts))


WORDS: Mapping[str, Any] = {
    "HOOK_BOUNDS": {"url": HOOK_URL.most, "description": HOOK_DESCRIPTION.most},
    "HOOK_EVENTS": EVENTS,
    "HOOK_HINTS": HINTS,
    "HOOK_STATES": HOOK_STATES,
    "DELIVERY_STATES": DELIVERY_STATES,
    "OVERLAPS": OVERLAPS,
}
