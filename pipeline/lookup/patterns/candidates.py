"""Ranks the addresses that a person may have at a domain."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.contacts import PatternCount
from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.model import EXISTENCE
from pipeline.lookup.patterns.patterns import Ways, local_parts
from pipeline.lookup.patterns.priors import Size, priors_for

LIMIT = 20
"""The most candidates of one person that are probed."""

CONCENTRATION = 1.0
"""The weight of the priors, in confirmed addresses: it is low, since most domains have one pattern."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A local part that a person may have, its likeliest pattern, and the chance that it is theirs."""

    local_part: str
    pattern: str
    probability: float


def candidates(
    name: Name, known: Sequence[PatternCount] = (), limit: int = LIMIT, *, domain: str = "", size: Size = Size.UNKNOWN
) -> list[Candidate]:
    """Return a person's distinct candidates at a domain, the likeliest first.

    The ranking uses what is known of the domain: its confirmed patterns, its country by its name, its size. A
    probability is the chance that the person has this address; the probabilities sum to less than 1.
    """
    chances, options = _chances(known, priors_for(name.culture, domain, size)), local_parts(name)
    probabilities = {local_part: _probability(ways, chances) for local_part, ways in options.items()}
    best = heapq.nlargest(limit, probabilities, key=probabilities.__getitem__)
    return [_candidate(local_part, options[local_part], chances) for local_part in best]


def _chances(known: Sequence[PatternCount], priors: Mapping[str, float]) -> Mapping[str, float]:
    """Return the chance of each pattern: the mean of a Dirichlet distribution of priors and confirmed patterns."""
    confirmed = {count.pattern: count.confirmed for count in known if count.pattern in priors}
    share = EXISTENCE / (CONCENTRATION + sum(confirmed.values()))
    return {p: share * (CONCENTRATION * chance + confirmed.get(p, 0)) for p, chance in priors.items()}


def likeliest(options: Mapping[str, Ways], chances: Mapping[str, float]) -> Candidate | None:
    """Return the likeliest of these local parts, by the chances of their patterns."""
    if not options:
        return None
    local_part = max(options, key=lambda option: _probability(options[option], chances))
    return _candidate(local_part, options[local_part], chances)


def _candidate(local_part: str, ways: Ways, chances: Mapping[str, float]) -> Candidate:
    pattern = max(ways, key=lambda way: way[1] * chances[way[0]])[0]
    return Candidate(local_part, pattern, _probability(ways, chances))


def _probability(ways: Ways, chances: Mapping[str, float]) -> float:
    return sum([weight * chances[pattern] for pattern, weight in ways])
