"""What outcomes teach about their domains' patterns: which a mail server confirmed, and which it refused."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipeline.outcomes import Outcome


class Lesson(NamedTuple):
    """How many people of a domain a pattern was confirmed for, and how many it was refused for."""

    confirmed: int
    refused: int


def lessons(outcomes: Iterable[Outcome]) -> Mapping[tuple[str, str], Lesson]:
    """Count by domain and pattern. What a contact brought and a catch-all's yes teach nothing."""
    confirmed: Counter[tuple[str, str]] = Counter()
    refused: Counter[tuple[str, str]] = Counter()
    for outcome in outcomes:
        domain, evidence = outcome.evidence.get("domain"), outcome.evidence
        if not domain:
            continue
        refused.update((domain, pattern) for pattern in evidence.get("refused", ()))
        if outcome.email and evidence.get("pattern") and not evidence.get("catch_all"):
            confirmed[domain, evidence["pattern"]] += 1
    return {key: Lesson(confirmed[key], refused[key]) for key in confirmed | refused}
