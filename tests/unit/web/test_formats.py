"""How numbers, times and sizes are written."""

from datetime import UTC, datetime, timedelta

import pytest

from web.views import formats

NOW = datetime(2026, 11, 27, 14, 28, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "0%"),
        (0, 9, "0%"),
        (9, 9, "100%"),
        (1089, 1200, "90.8%"),
        (1, 1_000_000, "0.1%"),
        (999_999, 1_000_000, "99.9%"),
    ],
)
def test_all_and_nothing_are_said_only_of_all_and_nothing(part: int, whole: int, shown: str) -> None:
    assert formats.share(part, whole) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"), (-3, "0.0 s"), (0.31, "0.3 s"), (41.4, "41 s"), (59.7, "1 min"), (60, "1 min"),
        (372, "6 min 12 s"), (3600, "1 h"), (7500, "2 h 5 min"), (86_400, "24 h"), (260_000, "3 days"),
    ],
)  # fmt: skip
def test_a_duration_has_two_units_at_most(seconds: float, shown: str) -> None:
    assert formats.duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0 s"), (12, "12 s"), (330, "5 min"), (7300, "2 h"), (86_400, "1 day"), (200_000, "2 days")],
)
def test_an_age_has_one_unit(seconds: float, shown: str) -> None:
    assert formats.age(NOW - timedelta(seconds=seconds), NOW) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (999, "999 B"), (148_200, "148.2 KB"), (3e15, "3000.0 TB")])
def test_a_size_has_a_unit(count: float, shown: str) -> None:
    assert formats.size(count) == shown


def test_a_movement_has_its_sign() -> None:
    assert [formats.signed(value) for value in (444, -1400, 0)] == ["+444", "−1,400", "+0"]


def test_times_are_in_utc_whatever_the_zone_they_came_in() -> None:
    there = NOW.astimezone(tz=datetime.strptime("+05:30", "%z").tzinfo)

    assert formats.clock(there) == "14:28:10"
    assert formats.machine(there) == "2026-11-27T14:28:10Z"
    assert formats.moment(there) == "27 Nov, 14:28"
