"""The chart of a run's speed: spans that are over, at a scale that fits."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from web.rendering import environment
from web.views.speed import FEWEST_POINTS, HEIGHT, MOST_POINTS, SPANS_S, WIDTH, span_for, view_of

START = datetime(2026, 11, 27, 14, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize("elapsed", [0.5, 39, 41, 3_000, 90_000, 10_000_000])
def test_there_are_never_more_points_than_a_chart_shows(elapsed: float) -> None:
    assert elapsed / span_for(elapsed) <= MOST_POINTS
    assert span_for(elapsed) in SPANS_S


def test_the_span_that_lasts_is_left_out_until_it_is_over() -> None:
    found = {0: 10, 1: 40, 2: 30, 3: 5}

    view = view_of(found, START, after(3.4), 1, is_over=False)

    assert view
    assert [point.rate for point in view.points] == [10, 40, 30]


def test_the_last_span_of_a_run_that_has_ended_counts_for_the_time_that_it_had() -> None:
    view = view_of({0: 10, 1: 10, 2: 10, 3: 5}, START, after(3.5), 1, is_over=True)

    assert view
    assert [point.rate for point in view.points] == [10, 10, 10, 10]


def test_nothing_is_drawn_of_a_run_that_worked_for_a_moment() -> None:
    assert view_of({0: 100, 1: 3}, START, after(FEWEST_POINTS - 0.6), 1, is_over=True) is None
    assert view_of({}, START, after(100), 5, is_over=False) is None


def test_the_line_fills_the_width_and_stays_below_the_ceiling() -> None:
    view = view_of({0: 0, 1: 17, 2: 18, 3: 9}, START, after(4.1), 1, is_over=False)

    assert view
    numbers = [float(each) for each in view.line.removeprefix("M").split()]
    across, down = numbers[::2], numbers[1::2]
    assert (across[0], across[-1]) == (0, WIDTH)
    assert all(0 <= each <= HEIGHT for each in down)
    assert view.ceiling == 20
    assert (view.marks[0].at, view.marks[-1].at) == (START, after(3))


def test_the_numbers_of_the_lines_stand_beside_what_is_drawn() -> None:
    view = view_of({0: 500, 1: 17, 2: 18, 3: 9}, START, after(4.1), 1, is_over=True)

    drawn = environment().get_template("run_speed.html").render(speed=view)

    beside = re.findall(r'x="(-?\d+)" y="\d+" text-anchor="end">(\d+)<', drawn)
    assert [(int(x) < 0, number) for x, number in beside] == [(True, "500"), (True, "250")]
