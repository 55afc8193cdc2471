"""Takes turns, and says what came out: for each row and column the median, the lowest and the highest value."""

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """The median of some values, the lowest and the highest one, and how many there are."""

    median: float
    lowest: float
    highest: float
    of_values: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values), len(values))

    def to_json(self) -> dict[str, float]:
        return {
            "median": significant(self.median),
            "min": significant(self.lowest),
            "max": significant(self.highest),
            "n": self.of_values,
        }


class Table:
    """Values by row and column, both in the order in which they first came."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, list[float]]] = {}

    def add(self, row: str, column: str, values: Iterable[float]) -> None:
        self.rows.setdefault(row, {}).setdefault(column, []).extend(values)

    def add_all(self, other: "Table") -> None:
        for row, cells in other.rows.items():
            for column, values in cells.items():
                self.add(row, column, values)

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(column for cells in self.rows.values() for column in cells))

    def spread(self, row: str, column: str) -> Spread | None:
        """A cell's spread; None if the row has no value there."""
        values = self.rows.get(row, {}).get(column)
        return Spread.of(values) if values else None

    def median(self, row: str, column: str) -> float | None:
        spread = self.spread(row, column)
        return spread.median if spread else None

    def ratio(self, column: str, row: str, to: str) -> float | None:
        """By how much a row's median is another's; None if one of them was not measured."""
        ours, theirs = self.median(row, column), self.median(to, column)
        return round(ours / theirs, 3) if ours is not None and theirs else None

    def to_json(self) -> dict[str, dict[str, dict[str, float]]]:
        return {
            row: {column: Spread.of(values).to_json() for column, values in cells.items() if values}
            for row, cells in self.rows.items()
        }


Turn = Callable[[], Mapping[str, Sequence[float]]]
"""Measures one row once: values by column."""


def take_turns(turns: Mapping[str, Turn], rounds: int) -> Table:
    """Measure all rows one after the other, so many times."""
    table = Table()
    for number in range(1, rounds + 1):
        for row, turn in turns.items():
            started = time.monotonic()
            for column, values in turn().items():
                table.add(row, column, values)
            report(f"round {number} of {rounds}: {row}, {time.monotonic() - started:.0f} s")
    return table


def report(text: str) -> None:
    """Report progress, beside the results."""
    print(text, file=sys.stderr, flush=True)


def significant(value: float) -> float:
    """Four digits are more than any of these measurements holds."""
    return float(f"{value:.4g}") if abs(value) < 1000 else float(round(value))
