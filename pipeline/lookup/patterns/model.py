"""A Bayesian model of a domain's address patterns, updated by each answer of its mail server.

A domain has one dominant pattern; the priors give the chance of each. A person has an address there with the chance
EXISTENCE. It follows the dominant pattern with a chance called the domain's conformity, and otherwise any pattern: by
what else was seen at this domain, and by the priors. Answers update the chance that a pattern is the dominant one by
Bayes' rule, and the conformity by counting.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from math import exp

from pipeline.contacts import PatternCount
from pipeline.lookup.patterns.patterns import PRIORS, Ways

EXISTENCE = 0.85
CONFORMITY = 0.85
CONFORMITY_WEIGHT = 4
"""The weight of the initial CONFORMITY, in addresses."""
OTHERS_WEIGHT = 2
"""The weight of the priors for addresses that do not follow the dominant pattern, in such addresses."""
OUTLIERS_EXIST = 0.5
"""The chance that a person without an address by the dominant pattern has one by the next best pattern."""
MOST_SUSPICIOUS = 20
"""The greatest exponent in the odds of a second pattern."""
SURE = 0.6
"""From this chance on, the dominant pattern counts as known."""
ENOUGH_CONFIRMED = 3
MOST_COUNTED = 20
"""The most confirmations, and refusals, of a pattern that are counted."""
STRANGERS = 0.05
"""The chance that whom earlier runs looked up at a domain does not work there, one and all: a list of wrong people, of
any account, must not make the right ones of another unfindable."""

Coverage = Mapping[str, float]
"""By pattern, the share of a person's spellings that the server does not know."""


class PatternModel:
    """The chance of each pattern to be the dominant one of a domain."""

    def __init__(self, known: Sequence[PatternCount] = (), priors: Mapping[str, float] = PRIORS) -> None:
        self._priors = priors
        self._hits: defaultdict[str, float] = defaultdict(float)
        self._confirmed: defaultdict[str, float] = defaultdict(float)
        self._chances: Mapping[str, float] = priors
        self._outliers: Mapping[str, float] = priors
        self._unexplained = 0.0
        self._explored = 1.0
        self._beside: PatternModel | None = None
        for count in known:
            self._note_count(count)
        self._chances_of_anybody = self._mixed(self._chances)

    @property
    def dominant(self) -> str | None:
        """The dominant pattern, once it is known well enough."""
        pattern = self._likeliest
        return pattern if self._chances[pattern] >= SURE else None

    @property
    def confirmed(self) -> Collection[str]:
        """The patterns that confirmed addresses follow."""
        return [pattern for pattern, times in self._confirmed.items() if times]

    @property
    def hits(self) -> float:
        """How many addresses confirm the dominant pattern."""
        return self._hits.get(self._likeliest, 0.0)

    @property
    def is_well_founded(self) -> bool:
        """Whether enough addresses confirmed one pattern to infer addresses from it without the server."""
        total = sum(self._confirmed.values())
        return total >= ENOUGH_CONFIRMED and max(self._confirmed.values()) >= SURE * total

    def copy(self) -> "PatternModel":
        """Return a copy, for suppositions."""
        other = PatternModel(priors=self._priors)
        other._hits, other._chances = self._hits.copy(), self._chances
        other._outliers, other._chances_of_anybody = self._outliers, self._chances_of_anybody
        other._unexplained, other._explored = self._unexplained, self._explored
        return other

    def chances_of(self, refused: Coverage) -> Mapping[str, float]:
        """Return the chance that a person's address follows each pattern, given what was refused for this person.

        For a name with several spellings, each chance is that of all spellings together.
        """
        if not refused:
            return self._chances_of_anybody
        missed = self._likelihoods(refused)
        return self._mixed({pattern: chance / (1 - missed[pattern]) for pattern, chance in self._chances.items()})

    def note_hit(self, ways: Ways, refused: Coverage) -> None:
        """Learn that a person has the address that these ways lead to, given what was refused before."""
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
        self._note_outlier_refusal({pattern: share - before.get(pattern, 0.0) for pattern, share in after.items()})

    def note_unexplained(self, people: int) -> None:
        """Learn how many people have no address by the dominant pattern: unusually many suggest a second pattern."""
        if people != self._unexplained:
            self._unexplained = people
            self._chances_of_anybody = self._mixed(self._chances)

    def _note_count(self, count: PatternCount) -> None:
        """Learn what earlier runs saw of one pattern; counts may be fractions, since they fade with time."""
        if count.pattern not in self._priors:
            return
        likelihoods = self._likelihoods({count.pattern: 1.0})
        confirmed, refused = min(count.confirmed, MOST_COUNTED), min(count.refused, MOST_COUNTED)
        missed = {each: STRANGERS + (1 - STRANGERS) * (1 - hit) ** refused for each, hit in likelihoods.items()}
        self._update({each: hit**confirmed * missed[each] for each, hit in likelihoods.items()})
        self._confirmed[count.pattern] += count.confirmed
        self._hits[count.pattern] += confirmed

    def _note_outlier_refusal(self, refused: Coverage) -> None:
        """Learn that these patterns do not explain a person either whom the dominant one does not explain."""
        dominant = self.dominant
        if dominant:
            kept = {p: 1.0 if p == dominant else 1 - OUTLIERS_EXIST * refused.get(p, 0.0) for p in self._priors}
            total = sum(chance * kept[pattern] for pattern, chance in self._outliers.items())
            self._outliers = {pattern: chance * kept[pattern] / total for pattern, chance in self._outliers.items()}
            self._explored *= total

    @property
    def _likeliest(self) -> str:
        return max(self._chances, key=self._chances.__getitem__)

    @property
    def outliers(self) -> float:
        """The expected number of people with an address that does not follow the dominant pattern."""
        absent = (1 - EXISTENCE) * (sum(self._hits.values()) + self._unexplained)
        excess = max(0.0, self._unexplained - absent)
        odds = self._explored * exp(min(excess**2 / (2 * (absent + 1)), MOST_SUSPICIOUS))
        return excess * odds / (1 + odds)

    def beside_the_dominant(self) -> "PatternModel":
        """Return the model for people whose address by the dominant pattern belongs to a colleague."""
        if self._beside is None:
            self._beside = PatternModel(priors=self._beside_the_dominant(self._priors, OTHERS_WEIGHT))
        return self._beside

    @property
    def _conformity(self) -> float:
        conforming = self._hits.get(self._likeliest, 0.0) + CONFORMITY * CONFORMITY_WEIGHT
        return conforming / (sum(self._hits.values()) + self.outliers + CONFORMITY_WEIGHT)

    def _others(self) -> Mapping[str, float]:
        """Return the chance of each pattern for an address that does not follow the dominant one."""
        return self._beside_the_dominant(self._outliers, OTHERS_WEIGHT + self.outliers)

    def _beside_the_dominant(self, expected: Mapping[str, float], weight: float) -> Mapping[str, float]:
        """Combine the addresses seen beside the dominant pattern with those expected, which weigh so many."""
        seen = {pattern: hits for pattern, hits in self._hits.items() if pattern != self._likeliest}
        if not seen:
            return expected
        total = sum(seen.values()) + weight
        return {pattern: (seen.get(pattern, 0.0) + weight * share) / total for pattern, share in expected.items()}

    def _likelihoods(self, covered: Coverage) -> Mapping[str, float]:
        """Return, for each dominant pattern, the chance that one of these spellings is a person's address."""
        conformity, others = self._conformity, self._others()
        anyhow = (1 - conformity) * sum(weight * others[pattern] for pattern, weight in covered.items())
        return {pattern: EXISTENCE * (conformity * covered.get(pattern, 0.0) + anyhow) for pattern in self._priors}

    def _update(self, likelihoods: Mapping[str, float]) -> None:
        weighed = {pattern: chance * likelihoods[pattern] for pattern, chance in self._chances.items()}
        total = sum(weighed.values())
        self._chances = {pattern: weight / total for pattern, weight in weighed.items()}
        self._chances_of_anybody, self._beside = self._mixed(self._chances), None

    def _mixed(self, weights: Mapping[str, float]) -> Mapping[str, float]:
        conformity, others, total = self._conformity, self._others(), sum(weights.values())
        return {
            pattern: EXISTENCE * (conformity * weight + (1 - conformity) * total * others[pattern])
            for pattern, weight in weights.items()
        }
