"""Charts, as numbers for SVG that the server writes. Widths are shares, so that text keeps its size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from web.views.results import Counts
from web.views.words import SOURCES, named


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the funnel: how many contacts reach it, and how many are lost on the way."""

    title: str
    count: int
    lost: int
    whole: int
    remark: str
    tone: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: its share of the longest one, and of all."""

    word: str
    title: str
    count: int
    longest: int
    whole: int


def funnel_of(counts: Counts) -> Sequence[Step]:
    """From contacts over addresses to verified addresses."""
    whole, found, verified = counts.contacts, counts.with_email, counts.verified
    return [
        Step("Contacts in", whole, 0, whole, "", "main"),
        Step("Address found", found, whole - found, whole, _remark(whole - found, "without an address"), "info"),
        Step("Verified", verified, found - verified, whole, _remark(found - verified, "found, not verified"), "ok"),
    ]


def mix_of(by_source: Mapping[str, int]) -> Sequence[Bar]:
    """The sources of the addresses, the largest first."""
    longest, whole = max(by_source.values(), default=0), sum(by_source.values())
    return [Bar(word, named(SOURCES, word), count, longest, whole) for word, count in by_source.items()]


def _remark(lost: int, how: str) -> str:
    return f"{lost:,} {how}" if lost else ""
