"""How fast a run advances is what was seen of it, and counting never takes more than its share."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from models.database import Database
from models.run import Run
from tests.factories import pending_run
from web.views.memory import MOST_RUNS, PAUSE_FACTOR, Memory

RUN = UUID(int=1)


class Clock:
    """A clock that is set by hand. It goes on by `step` with each look at it."""

    def __init__(self, step: float = 0) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rate_at(clock: Clock) -> Callable[[float, int], float | None]:
    """The speed of a stage that has so many contacts done at this time."""
    memory = Memory(clock)

    def rate(now: float, done: int) -> float | None:
        clock.now = now
        return memory.rate_of(RUN, "email_lookup", done)

    return rate


RateAt = Callable[[float, int], float | None]


def test_no_speed_is_made_up_before_two_seconds_were_seen(rate_at: RateAt) -> None:
    assert rate_at(0, 0) is None
    assert rate_at(1.9, 50) is None


def test_the_speed_is_that_of_the_last_half_minute(rate_at: RateAt) -> None:
    for second in range(40):
        rate_at(second, 100 * second)
    for second in range(40, 80):
        last = rate_at(second, 3900 + 10 * (second - 39))

    assert last == pytest.approx(10)


def test_a_stage_that_stands_still_has_no_speed(rate_at: RateAt) -> None:
    assert {rate_at(second, 7) for second in range(40)} == {None}


def test_a_late_count_does_not_turn_the_speed_back(rate_at: RateAt) -> None:
    rate_at(0, 0)
    rate_at(5, 100)

    assert rate_at(10, 40) == pytest.approx(10)


def test_what_is_remembered_does_not_grow_without_end() -> None:
    memory = Memory()
    for _ in range(MOST_RUNS + 50):
        memory.rate_of(uuid4(), "email_lookup", 0)

    assert len(memory.samples) == MOST_RUNS


def test_an_active_run_is_counted_again_after_twenty_times_as_long_as_counting_took(database: Database) -> None:
    clock = Clock(step=2)
    memory = Memory(clock)
    with database.transaction() as session:
        run = session.get_one(Run, pending_run(database))
        first = memory.groups_of(session, run)
        clock.step, counted_at = 0, clock.now
        session.expunge(run)
        run.version += 1

        clock.now = counted_at + 2 * PAUSE_FACTOR - 1
        soon = memory.groups_of(session, run)
        clock.now = counted_at + 2 * PAUSE_FACTOR + 1
        later = memory.groups_of(session, run)

    assert soon is first
    assert later is not first


def test_a_run_that_has_ended_is_counted_as_it_is_now(database: Database) -> None:
    memory = Memory(Clock())
    with database.transaction() as session:
        run = session.get_one(Run, pending_run(database))
        first = memory.groups_of(session, run)
        session.expunge(run)
        run.version, run.status = run.version + 1, "cancelled"

        assert memory.groups_of(session, run) is not first
