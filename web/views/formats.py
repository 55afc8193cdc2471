"""How numbers, times and sizes are written for people."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

MINUTE, HOUR, DAY = 60, 3600, 86_400
SIZES = ("B", "KB", "MB", "GB", "TB")
STEP_OF_SIZES = 1000


def number(value: float) -> str:
    """`41640` is `41,640`."""
    return f"{value:,}"


def signed(value: int) -> str:
    """A movement of credits: `+444`, `−1,400`."""
    return f"{'−' if value < 0 else '+'}{abs(value):,}"


def share(part: float, whole: float) -> str:
    """`90.8%`. All of it, and nothing of it, are said only of that."""
    if not whole or part in (0, whole):
        return f"{100 if whole and part else 0}%"
    return f"{min(99.9, max(0.1, 100 * part / whole)):.1f}%"


def width(part: float, whole: float) -> str:
    """A share as the width of a bar: `90.75%`."""
    return f"{100 * part / whole if whole else 0:.2f}%"


def rate(value: float) -> str:
    """Contacts a second: `0.4`, `18.4`, `20`, `1,240`."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.1 else f"{value:.2f}"


def duration(seconds: float) -> str:
    """`0.3 s`, `41 s`, `6 min 12 s`, `2 h 5 min`, `3 days`."""
    whole = round(seconds)
    if whole < 1:
        return f"{max(seconds, 0):.1f} s"
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return _two(whole // MINUTE, "min", whole % MINUTE, "s")
    if whole < 2 * DAY:
        return _two(whole // HOUR, "h", whole % HOUR // MINUTE, "min")
    return f"{whole // DAY} days"


def age(when: datetime, now: datetime | None = None) -> str:
    """How long ago something was, in its largest unit."""
    seconds = ((now or datetime.now(UTC)) - when).total_seconds()
    for unit, name in ((DAY, "day"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= unit:
            count = int(seconds // unit)
            return f"{count} {name}{'s' if name == 'day' and count > 1 else ''}"
    return f"{max(0, int(seconds))} s"


def day(when: datetime) -> str:
    """`27 Nov 2026`."""
    return f"{when.astimezone(UTC):%-d %b %Y}"


def moment(when: datetime) -> str:
    """`27 Nov, 14:27`."""
    return f"{when.astimezone(UTC):%-d %b, %H:%M}"


def clock(when: datetime) -> str:
    """`14:27:58`."""
    return f"{when.astimezone(UTC):%H:%M:%S}"


def minute(when: datetime) -> str:
    """`14:27`."""
    return f"{when.astimezone(UTC):%H:%M}"


def full(when: datetime) -> str:
    """`2026-11-27 14:27 UTC`."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def machine(when: datetime) -> str:
    """For `datetime` attributes."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def size(count: float) -> str:
    """`148.2 KB`."""
    for unit in SIZES:
        if count < STEP_OF_SIZES or unit == SIZES[-1]:
            break
        count /= STEP_OF_SIZES
    return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"


def short(run_id: UUID) -> str:
    """The end of an id. Its beginning is a time, which runs of the same minute share."""
    return str(run_id)[-8:]


def count_of(count: int, noun: str, plural: str = "") -> str:
    """`1 contact`, `2,000 contacts`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"


FILTERS: Mapping[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (
        number,
        signed,
        share,
        width,
        rate,
        duration,
        age,
        day,
        moment,
        clock,
        minute,
        full,
        machine,
        size,
        short,
        count_of,
    )
}
