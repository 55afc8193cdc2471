"""How many contacts a second a run has worked since its start, as numbers for a chart."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from models.run import Run
from pipeline.results.counts import count_by_time
from web.views.memory import Memory

SPANS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 10_800, 43_200, 86_400, 604_800)
MOST_POINTS = 40
FEWEST_POINTS = 3
WIDTH, HEIGHT = 600, 72
CEILINGS = (1, 2, 5)


class Point(NamedTuple):
    """A span of time, and the contacts that were worked in it each second."""

    at: datetime
    rate: float


class Mark(NamedTuple):
    """A time below the chart: its place as a share of the width, and how its text stands there."""

    at: datetime
    share: str
    anchor: str


class SpeedView(NamedTuple):
    """The chart: paths within `WIDTH` and `HEIGHT`, the numbers of its lines, and the times below."""

    points: Sequence[Point]
    line: str
    area: str
    ceiling: float
    marks: Sequence[Mark]
    is_over: bool

    @property
    def fastest(self) -> Point:
        """The span in which most contacts were worked."""
        return max(self.points, key=lambda point: point.rate)

    @property
    def average(self) -> float:
        """The speed over all spans."""
        return sum(point.rate for point in self.points) / len(self.points)


def speed_of(session: Session, run: Run, memory: Memory) -> SpeedView | None:
    """The speed of a run since its start; None before there is enough to draw."""
    if run.started_at is None or run.retracted_at:
        return None
    started, until = run.started_at, run.finished_at or datetime.now(UTC)
    seconds = span_for((until - started).total_seconds())
    found = memory.counted_of(run, f"speed {seconds}", lambda: count_by_time(session, run.id, started, seconds))
    return view_of(found, started, until, seconds, is_over=run.finished_at is not None)


def span_for(elapsed: float) -> int:
    """The seconds of a span, so that there are not more of them than a chart shows."""
    return next((span for span in SPANS_S if elapsed <= span * MOST_POINTS), SPANS_S[-1])


def view_of(
    found: Mapping[int, int], started: datetime, until: datetime, seconds: int, *, is_over: bool
) -> SpeedView | None:
    """The chart of spans that are over. The one that lasts has not all of its contacts yet; the last one ends early."""
    elapsed = (until - started).total_seconds()
    whole = int(elapsed // seconds)
    rates = [found.get(slot, 0) / seconds for slot in range(whole)]
    if is_over and (rest := elapsed - whole * seconds) >= seconds / 2:
        rates.append(sum(count for slot, count in found.items() if slot >= whole) / rest)
    if len(rates) < FEWEST_POINTS or not any(rates):
        return None
    points = [Point(started + timedelta(seconds=seconds * slot), rate) for slot, rate in enumerate(rates)]
    ceiling = _ceiling(max(rates))
    line = " ".join(
        f"{_x(slot, len(rates)):.1f} {HEIGHT * (1 - rate / ceiling):.1f}" for slot, rate in enumerate(rates)
    )
    return SpeedView(points, f"M{line}", f"M{line} {WIDTH} {HEIGHT} 0 {HEIGHT}z", ceiling, _marks(points), is_over)


def _x(slot: int, points: int) -> float:
    return WIDTH * slot / (points - 1)


def _ceiling(most: float) -> float:
    """The round number at the top."""
    power = 1.0
    while power > most:
        power /= 10
    while power * 10 <= most:
        power *= 10
    return next((power * step for step in CEILINGS if most <= power * step), power * 10)


def _marks(points: Sequence[Point]) -> Sequence[Mark]:
    middle = len(points) // 2
    return [
        Mark(points[0].at, "0", "start"),
        Mark(points[middle].at, f"{100 * middle / (len(points) - 1):.1f}%", "middle"),
        Mark(points[-1].at, "100%", "end"),
    ]
