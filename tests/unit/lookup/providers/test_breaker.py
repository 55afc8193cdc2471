"""When a breaker opens, when it allows a trial request, and when it closes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lookup.providers.breaker import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, CircuitBreaker
from pipeline.outcomes import Reason


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(clock)


def open_(breaker: CircuitBreaker) -> None:
    for _ in range(FAILURES):
        breaker.failed()


def test_it_opens_after_so_many_failures_in_a_row(breaker: CircuitBreaker) -> None:
    for _ in range(FAILURES - 1):
        breaker.failed()
    assert breaker.enter()

    breaker.failed()

    assert breaker.is_open
    assert not breaker.enter()


def test_a_success_in_between_starts_the_count_anew(breaker: CircuitBreaker) -> None:
    for _ in range(FAILURES - 1):
        breaker.failed()
    breaker.succeeded()
    breaker.failed()

    assert not breaker.is_open


def test_after_the_pause_one_request_is_a_trial_and_the_others_wait(breaker: CircuitBreaker, clock: Clock) -> None:
    open_(breaker)
    clock.now += FIRST_PAUSE

    assert [breaker.enter() for _ in range(3)] == [True, False, False]


def test_a_trial_that_sent_no_request_leaves_its_place(breaker: CircuitBreaker, clock: Clock) -> None:
    open_(breaker)
    clock.now += FIRST_PAUSE
    breaker.enter()
    breaker.leave()

    assert breaker.enter()


def test_a_trial_that_succeeds_closes_it(breaker: CircuitBreaker, clock: Clock) -> None:
    open_(breaker)
    clock.now += FIRST_PAUSE
    breaker.enter()
    breaker.succeeded()

    assert [breaker.enter() for _ in range(3)] == [True] * 3


def test_trials_that_fail_open_it_for_longer_each_time_up_to_a_bound(breaker: CircuitBreaker, clock: Clock) -> None:
    open_(breaker)
    pauses = []
    for _ in range(10):
        pauses.append(breaker.seconds)
        clock.now += breaker.seconds
        breaker.enter()
        breaker.failed()

    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert max(pauses) == LONGEST_PAUSE


def test_it_says_why_it_is_open(breaker: CircuitBreaker) -> None:
    breaker.shut(60, Reason.PROVIDER_KEY_REJECTED)

    assert (breaker.is_open, breaker.seconds, breaker.reason) == (True, 60, Reason.PROVIDER_KEY_REJECTED)


@given(st.lists(st.sampled_from(["failed", "succeeded", "leave", "enter", "time"])))
def test_whatever_happens_it_allows_a_request_again_in_time(steps: list[str]) -> None:
    clock = Clock()
    breaker = CircuitBreaker(clock)
    for step in steps:
        if step == "time":
            clock.now += FIRST_PAUSE
        else:
            getattr(breaker, step)()
    breaker.leave()
    clock.now += LONGEST_PAUSE

    assert breaker.enter()
