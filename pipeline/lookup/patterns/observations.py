"""Counts what outcomes show about their domains' patterns: which a mail server confirmed, and which it refused."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipeline.outcomes import Outcome

ASKED = {"pattern", "permutation"}
"""Sources of addresses that a mail server has just confirmed."""


class Lesson(NamedTuple):
    """For how many people of a domain a pattern was confirmed, and for how many it was refused."""

    confirmed: int
    refused: int


def lessons(outcomes: Iterable[Outcome]) -> Mapping[tuple[str, str], Lesson]:
    """Count by domain and pattern. Supplied addresses and those at a catch-all show nothing."""
    confirmed: Counter[tuple[str, str]] = Counter()
    refused: Counter[tuple[str, str]] = Counter()
    for outcome in outcomes:
        evidence, pattern = outcome.evidence, outcome.evidence.pattern
        if evidence.search:
            refused.update((evidence.search.domain, each) for each in evidence.search.refused)
        if outcome.email and pattern and outcome.source in ASKED and not evidence.catch_all:
            confirmed[outcome.email.rpartition("@")[2], pattern] += 1
    return {key: Lesson(confirmed[key], refused[key]) for key in confirmed | refused}
