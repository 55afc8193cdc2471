"""What runs learn, kept in this process the way `pipeline.memory` keeps it in Postgres."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pipeline.contacts import KnownPerson, PatternCount
from pipeline.lookup.patterns.observations import lessons
from pipeline.memory.lookups import known_person
from pipeline.outcomes import Outcome


class Knowledge:
    """Confirmed and refused patterns by domain, and people by digest."""

    def __init__(self) -> None:
        self.people: dict[bytes, KnownPerson] = {}
        self.taken: set[str] = set()
        self._confirmed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._refused: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """Learn from outcomes."""
        for (domain, pattern), observed in lessons(outcomes).items():
            self._confirmed[domain][pattern] += observed.confirmed
            self._refused[domain][pattern] += observed.refused
        self.taken |= {outcome.email for outcome in outcomes if outcome.email}
        for outcome in outcomes:
            if entry := known_person(outcome):
                digest, person = entry
                self.people[digest] = person

    def begin_run(self) -> None:
        """Begin a later run, for which no address is taken."""
        self.taken.clear()

    def forget_people(self) -> None:
        """Forget people; what is known of domains stays."""
        self.people.clear()

    def patterns(self, domains: Iterable[str]) -> Mapping[str, Sequence[PatternCount]]:
        """Return the patterns of these domains."""
        return {domain: self._patterns(domain) for domain in domains}

    def _patterns(self, domain: str) -> Sequence[PatternCount]:
        confirmed, refused = self._confirmed[domain], self._refused[domain]
        return [PatternCount(pattern, confirmed[pattern], refused[pattern]) for pattern in confirmed | refused]
