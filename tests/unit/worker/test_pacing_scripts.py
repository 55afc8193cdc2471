"""The pacing scripts in Redis agree with a model of a few lines in Python, in any order of calls."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from pipeline.mail.pacing.aimd import AdaptiveLimit
from pipeline.mail.pacing.slots import PacingLimits, Place
from worker.pacing.registry import LEASE, PROCESSES, Granted, Queued, keys_of, limit_arguments, read_reply, script

CLOCK = "local now = tonumber(redis.call('GET', 'now'))"
NO_EXPIRY = """
local server = redis
local redis = {pcall = server.pcall, call = function(command, ...)
  if command ~= 'PEXPIRE' then return server.call(command, ...) end
end}
"""
"""Keys would expire by the real clock, which differs from the test's."""
LIMITS = PacingLimits(connections_per_host=2, connections_per_provider=3, recipients_per_second=8.0)
PLACES = [Place("192.0.2.1", "big"), Place("192.0.2.2", "big"), Place("192.0.2.3", "small")]


class Scripts:
    """The scripts on a real server, at a time that the test sets."""

    def __init__(self, client: redis.Redis, clock: str = CLOCK) -> None:
        self.client = client
        client.flushdb()
        self._limits = limit_arguments(LIMITS)
        names = ("acquire", "release", "renew", "slow_down")
        self._scripts = {name: client.register_script(script(name, clock)) for name in names}

    def at(self, now: float) -> None:
        self.client.set("now", repr(now))

    def call(self, name: str, place: Place, *arguments: object) -> Any:
        return self._scripts[name](keys_of(place), [*self._limits, *map(str, arguments)])

    def acquire(self, slot_id: str, place: Place, ticket: str = "") -> Granted | Queued:
        return read_reply(*(text.decode() for text in self.call("acquire", place, slot_id, ticket)))

    def release(self, slot_id: str, place: Place, recipients: int = 0) -> None:
        self.call("release", place, slot_id, recipients)

    def renew(self, process: str, held: Sequence[tuple[str, Place]]) -> int:
        keys = [key for _, place in held for key in keys_of(place)]
        return int(self._scripts["renew"]([PROCESSES, *keys], [process, *(slot_id for slot_id, _ in held)]))

    def slow_down(self, place: Place, acquired_at: float) -> bool:
        return bool(self.call("slow_down", place, repr(acquired_at)))


@pytest.fixture
def client(valkey_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(re.sub(r"/0$", "/5", valkey_url)) as opened:
        yield opened


@pytest.fixture
def scripts(client: redis.Redis) -> Scripts:
    return Scripts(client)


@dataclass
class Model:
    """One limit: leases by their end, and the arithmetic in Python."""

    limit: AdaptiveLimit
    held: dict[str, float] = field(default_factory=dict)
    waiting: dict[str, float] = field(default_factory=dict)

    def sweep(self, now: float) -> None:
        for leases in (self.held, self.waiting):
            for over in [name for name, end in leases.items() if end <= now]:
                del leases[over]
        self.limit.held = len(self.held)

    def has_room_for(self, ticket: str, now: float) -> bool:
        ahead = sum(other < ticket for other in self.waiting)
        return ahead < self.limit.width(now) - len(self.held)


class ScriptsLikeTheModel(RuleBasedStateMachine):
    """Each rule does the same to both and compares the replies. An invariant compares holders and queues."""

    def __init__(self, scripts: Scripts) -> None:
        super().__init__()
        self.scripts = scripts
        self.scripts.client.flushdb()
        self.now = 1_700_000_000.0
        self.scripts.at(self.now)
        self.numbers = itertools.count()
        self.models = {name: Model(limit) for name, limit in fresh_limits().items()}
        self.held: dict[str, tuple[Place, float]] = {}
        self.waiting: dict[str, tuple[Place, str]] = {}

    def models_of(self, place: Place) -> tuple[Model, Model]:
        host, provider = (self.models[key] for key in keys_of(place))
        host.sweep(self.now)
        provider.sweep(self.now)
        return host, provider

    @rule(place=st.sampled_from(PLACES))
    def come(self, place: Place) -> None:
        self.acquire(f"p-{next(self.numbers):09}", place, "")

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def look_again(self, data: st.DataObject) -> None:
        slot_id = data.draw(st.sampled_from(sorted(self.waiting)))
        self.acquire(slot_id, *self.waiting[slot_id])

    def acquire(self, slot_id: str, place: Place, ticket: str) -> None:
        reply = self.scripts.acquire(slot_id, place, ticket)
        expected = self.expected(slot_id, place, ticket or (reply.ticket if isinstance(reply, Queued) else "~"))
        assert reply == expected
        self.waiting.pop(slot_id, None)
        if isinstance(reply, Granted):
            self.held[slot_id] = place, reply.acquired_at
        else:
            self.waiting[slot_id] = place, reply.ticket

    def expected(self, slot_id: str, place: Place, ticket: str) -> Granted | Queued:
        host, provider = self.models_of(place)
        seconds, lease = 0.0, self.now + LEASE
        if not host.has_room_for(ticket, self.now):
            provider.waiting.pop(ticket, None)
        elif not provider.has_room_for(ticket, self.now):
            provider.waiting[ticket] = lease
        else:
            seconds = max(model.limit.wait(self.now) for model in (host, provider))
            if not seconds:
                return self.grant(slot_id, ticket, (host, provider), lease)
            provider.waiting[ticket] = lease
        host.waiting[ticket] = lease
        return Queued(ticket, seconds)

    def grant(self, slot_id: str, ticket: str, models: tuple[Model, Model], lease: float) -> Granted:
        others = any(model.held for model in models)
        for model in models:
            model.waiting.pop(ticket, None)
            model.held[slot_id] = lease
            model.limit.spend(1, self.now)
            assert len(model.held) <= model.limit.width(self.now)
        return Granted(self.now, others)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), recipients=st.integers(0, 12))
    def release(self, data: st.DataObject, recipients: int) -> None:
        slot_id = data.draw(st.sampled_from(sorted(self.held)))
        place, _ = self.held.pop(slot_id)
        self.scripts.release(slot_id, place, recipients=recipients)
        for model in self.models_of(place):
            model.held.pop(slot_id, None)
            if recipients:
                model.limit.spend(recipients, self.now)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave_the_line(self, data: st.DataObject) -> None:
        slot_id = data.draw(st.sampled_from(sorted(self.waiting)))
        place, ticket = self.waiting.pop(slot_id)
        self.scripts.release(slot_id, place)
        for model in self.models_of(place):
            model.waiting.pop(ticket, None)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def renew_some(self, data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.held)), unique=True))
        assert self.scripts.renew("p", [(slot_id, self.held[slot_id][0]) for slot_id in chosen]) == 1
        for slot_id in chosen:
            for key in keys_of(self.held[slot_id][0]):
                self.models[key].held[slot_id] = self.now + LEASE

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def complain(self, data: st.DataObject) -> None:
        place, acquired_at = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        models = self.models_of(place)
        others = any(len(model.held) > 1 or acquired_at <= model.limit.slowed_at for model in models)
        assert self.scripts.slow_down(place, acquired_at) == others
        for model in models:
            model.limit.slow_down(self.now, acquired_at)

    @rule(seconds=st.sampled_from([0.001, 0.1, 0.9, 1.0, LEASE - 0.5, LEASE, 60.0, 700.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds
        self.scripts.at(self.now)

    @rule()
    def lose_everything(self) -> None:
        self.scripts.client.flushdb()
        self.scripts.at(self.now)
        self.models = {name: Model(limit) for name, limit in fresh_limits().items()}

    @invariant()
    def both_know_the_same(self) -> None:
        for name, model in self.models.items():
            model.sweep(self.now)
            assert self.members(f"{name}:held") == set(model.held)
            assert self.members(f"{name}:waiting") == set(model.waiting)

    def members(self, key: str) -> set[str]:
        return {name.decode() for name in self.scripts.client.zrangebyscore(key, f"({self.now!r}", "+inf")}


def fresh_limits() -> dict[str, AdaptiveLimit]:
    _, host_pace, _, provider_pace = map(float, limit_arguments(LIMITS))
    limits = {}
    for place in PLACES:
        host, provider = keys_of(place)
        limits[host] = AdaptiveLimit(LIMITS.connections_per_host, host_pace)
        limits[provider] = AdaptiveLimit(LIMITS.connections_per_provider, provider_pace)
    return limits


def test_in_any_order_of_calls_the_scripts_agree_with_the_model(client: redis.Redis) -> None:
    scripts = Scripts(client, NO_EXPIRY + CLOCK)
    run_state_machine_as_test(
        lambda: ScriptsLikeTheModel(scripts),
        settings=settings(
            max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


BUSY, BESIDE, _ELSEWHERE = PLACES


def test_only_the_first_in_the_line_is_notified_of_a_free_slot(scripts: Scripts) -> None:
    scripts.at(1_700_000_000.0)
    for number in range(2):
        scripts.acquire(f"a-{number}", BUSY)
    scripts.acquire("b-1", BUSY)
    scripts.acquire("c-1", BUSY)
    with scripts.client.pubsub() as channel:
        channel.psubscribe("growth:{pacing}:turns:*")
        channel.get_message(timeout=1)

        scripts.release("a-0", BUSY)
        scripts.client.publish("growth:{pacing}:turns:end", "end")
        channels = list(itertools.takewhile(lambda data: data != b"end", (each["data"] for each in channel.listen())))

    assert channels == [b"b-1"]


def test_a_clock_that_was_set_back_leaves_no_slot_held_for_hours(scripts: Scripts) -> None:
    scripts.at(1_700_000_000.0)
    for number in range(2):
        scripts.acquire(f"a-{number}", BUSY)
    scripts.at(1_700_000_000.0 - 3600)

    assert isinstance(scripts.acquire("b-1", BUSY), Granted)


def test_what_is_kept_of_an_idle_host_expires(scripts: Scripts) -> None:
    scripts.at(1_700_000_000.0)
    scripts.acquire("a-0", BUSY)
    scripts.release("a-0", BUSY, recipients=1)

    kept = {key: scripts.client.pttl(key) for key in scripts.client.keys("growth:*")}

    assert kept
    assert all(0 < milliseconds <= 2000 for milliseconds in kept.values()), kept


def test_a_request_that_waits_for_a_host_again_does_not_hold_up_the_line_of_its_provider(scripts: Scripts) -> None:
    scripts.at(1_700_000_000.0)
    for slot_id, place in (("a-0", BUSY), ("a-1", BESIDE), ("a-2", BESIDE)):
        scripts.acquire(slot_id, place)
    waiting = scripts.acquire("b-1", BUSY)
    assert isinstance(waiting, Queued), "the provider is full"
    scripts.renew("c", [("c-1", BUSY)])  # open, and forgotten for a while
    scripts.release("a-1", BESIDE)
    scripts.release("a-2", BESIDE)

    assert isinstance(scripts.acquire("b-1", BUSY, waiting.ticket), Queued), "now its host is"

    assert isinstance(scripts.acquire("d-1", BESIDE), Granted)
