"""What is believed about a domain's address pattern, and how each answer of its server changes that.

The model: a domain has one dominant pattern, chosen as its priors say. Somebody looked for has an address there
with chance EXISTENCE; it then follows the dominant pattern with the chance that the domain's conformity
gives, and any pattern by the priors otherwise. What is seen updates the chance of each pattern's being the
dominant one by Bayes' rule, and the conformity by counting.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from pipeline.lookup.patterns import PRIORS, Ways
from pipeline.records import PatternCount

EXISTENCE = 0.85
CONFORMITY = 0.85
CONFORMITY_WEIGHT = 6
"""As many addresses as this speak as loud as the CONFORMITY assumed at first."""
SURE = 0.6
"""From this chance on the dominant pattern counts as known."""
ENOUGH_CONFIRMED = 3
MOST_COUNTED = 20
"""More confirmations of a pattern add nothing to what is believed."""

Coverage = Mapping[str, float]
"""Of each pattern, the share of a person's spellings that the server does not know."""


class PatternBelief:
    """The chance of each pattern's being the domain's dominant one."""

    def __init__(self, known: Sequence[PatternCount] = (), priors: Mapping[str, float] = PRIORS) -> None:
        self._priors = priors
        self._hits: Counter[str] = Counter()
        self._confirmed: Counter[str] = Counter()
        self._chances: Mapping[str, float] = priors
        self._chances_of_anybody = self._mixed_with_priors(priors)
        for count in known:
            self.note_confirmed(count.pattern, count.confirmed)

    @property
    def dominant(self) -> str | None:
        """The dominant pattern, once it is known well enough."""
        pattern = self._likeliest
        return pattern if self._chances[pattern] >= SURE else None

    @property
    def confirmed(self) -> Collection[str]:
        """The patterns that addresses known for certain follow."""
        return self._confirmed.keys()

    @property
    def is_well_founded(self) -> bool:
        """Whether enough addresses confirmed one pattern to rely on it where the server can't be asked."""
        total = self._confirmed.total()
        return total >= ENOUGH_CONFIRMED and max(self._confirmed.values()) >= SURE * total

    def copy(self) -> "PatternBelief":
        """Give a belief of its own to somebody who wants to suppose something."""
        other = PatternBelief(priors=self._priors)
        other._hits, other._chances = self._hits.copy(), self._chances
        other._chances_of_anybody = self._chances_of_anybody
        return other

    def chances_of(self, refused: Coverage) -> Mapping[str, float]:
        """Give the chance that a person's address follows each pattern, after what was refused to this person.

        For a name that is spelled in several ways each chance is to be shared out among the spellings.
        """
        if not refused:
            return self._chances_of_anybody
        missed = self._likelihoods(refused)
        weights = {pattern: chance / (1 - missed[pattern]) for pattern, chance in self._chances.items()}
        return self._mixed_with_priors(weights)

    def note_confirmed(self, pattern: str, times: int = 1) -> None:
        """Learn from addresses that are known for certain; a pattern that is not ours is passed over."""
        if pattern not in self._priors:
            return
        self._confirmed[pattern] += times
        for _ in range(min(times, MOST_COUNTED)):
            self.note_hit([(pattern, 1.0)], {})

    def note_hit(self, ways: Ways, refused: Coverage) -> None:
        """Learn that a person has the address that these ways lead to, after what was refused."""
        matching: dict[str, float] = {}
        for pattern, weight in ways:
            matching[pattern] = matching.get(pattern, 0.0) + weight
        hit, missed = self._likelihoods(matching), self._likelihoods(refused)
        self._hits[max(matching, key=self._chances_of_anybody.__getitem__)] += 1
        self._update({pattern: hit[pattern] / (1 - missed[pattern]) for pattern in self._priors})

    def note_refusal(self, before: Coverage, after: Coverage) -> None:
        """Learn that one more of a person's addresses does not exist."""
        old, new = self._likelihoods(before), self._likelihoods(after)
        self._update({pattern: (1 - new[pattern]) / (1 - old[pattern]) for pattern in self._priors})

    @property
    def _likeliest(self) -> str:
        return max(self._chances, key=self._chances.__getitem__)

    @property
    def _conformity(self) -> float:
        conforming = self._hits[self._likeliest] + CONFORMITY * CONFORMITY_WEIGHT
        return conforming / (self._hits.total() + CONFORMITY_WEIGHT)

    def _likelihoods(self, covered: Coverage) -> Mapping[str, float]:
        """Give the chance that one of these spellings is a person's address, for each dominant pattern."""
        conformity = self._conformity
        anyhow = (1 - conformity) * sum(weight * self._priors[pattern] for pattern, weight in covered.items())
        return {pattern: EXISTENCE * (conformity * covered.get(pattern, 0.0) + anyhow) for pattern in self._priors}

    def _update(self, likelihoods: Mapping[str, float]) -> None:
        weighed = {pattern: chance * likelihoods[pattern] for pattern, chance in self._chances.items()}
        total = sum(weighed.values())
        self._chances = {pattern: weight / total for pattern, weight in weighed.items()}
        self._chances_of_anybody = self._mixed_with_priors(self._chances)

    def _mixed_with_priors(self, weights: Mapping[str, float]) -> Mapping[str, float]:
        conformity, total = self._conformity, sum(weights.values())
        return {
            pattern: EXISTENCE * (conformity * weight + (1 - conformity) * total * self._priors[pattern])
            for pattern, weight in weights.items()
        }
