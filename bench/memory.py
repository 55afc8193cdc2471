"""What runs teach about domains, kept in memory as `pipeline.knowledge` keeps it in Postgres."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pipeline.lookup.lessons import lessons
from pipeline.outcomes import Outcome
from pipeline.records import PatternCount


class Knowledge:
    """Confirmed and refused patterns by domain."""

    def __init__(self) -> None:
        self._confirmed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._refused: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def learn(self, outcomes: Iterable[Outcome]) -> None:
        """Count what they teach."""
        for (domain, pattern), lesson in lessons(outcomes).items():
            self._confirmed[domain][pattern] += lesson.confirmed
            self._refused[domain][pattern] += lesson.refused

    def patterns(self, domains: Iterable[str]) -> Mapping[str, Sequence[PatternCount]]:
        """What is known of these domains."""
        return {
            domain: [
                PatternCount(pattern, self._confirmed[domain][pattern])
                for pattern in self._confirmed[domain].keys() | self._refused[domain].keys()
            ]
            for domain in domains
            if domain in self._confirmed
        }
