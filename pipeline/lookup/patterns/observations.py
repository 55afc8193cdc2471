"""What outcomes teach about their domains' patterns: which a mail server confirmed, and which it refused."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipeline.outcomes import Outcome

ASKED = {"pattern", "permutation"}
"""Sources of addresses that a mail server confirmed just now."""


class Lesson(NamedTuple):
    """How many people of a domain a pattern was confirmed for, and how many it was refused for."""

    confirmed: int
    refused: int


def lessons(outcomes: Iterable[Outcome]) -> Mapping[tuple[str, str], Lesson]:
    """Count by domain and pattern. What a contact supplied and a catch-all's yes teach nothing."""
    confirmed: Counter[tuple[str, str]] = Counter()
    refused: Counter[tuple[str, str]] = Counter()
    for outcome in outcomes:
        evidence, pattern = outcome.evidence, outcome.evidence.pattern
        if evidence.search:
            refused.update((evidence.search.domain, each) for each in evidence.search.refused)
        if outcome.email and pattern and outcome.source in ASKED and not evidence.catch_all:
            confirmed[outcome.email.rpartition("@")[2], pattern] += 1
    return {key: Lesson(confirmed[key], refused[key]) for key in confirmed | refused}
