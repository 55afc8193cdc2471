"""The addresses that a person may have at a domain, the likely ones first."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.contacts import PatternCount
from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.model import EXISTENCE
from pipeline.lookup.patterns.patterns import Ways, local_parts
from pipeline.lookup.patterns.priors import Size, priors_for

LIMIT = 20
"""Candidates of one person that are worth asking about."""

CONCENTRATION = 1.0
"""As many confirmed addresses speak as loud as the priors: at most domains one pattern serves nearly everybody."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A local part that a person may have, the likeliest pattern behind it, and the chance that it is right."""

    local_part: str
    pattern: str
    probability: float


def candidates(
    name: Name, known: Sequence[PatternCount] = (), limit: int = LIMIT, *, domain: str = "", size: Size = Size.UNKNOWN
) -> list[Candidate]:
    """Rank a person's distinct candidates at a domain.

    What is known of the domain sharpens the ranking: the confirmed patterns of other people there, its country (by
    its name), its size. A probability is the chance that the person has this address; they sum to less than 1.
    """
    chances, options = _chances(known, priors_for(name.culture, domain, size)), local_parts(name)
    probabilities = {local_part: _probability(ways, chances) for local_part, ways in options.items()}
    best = heapq.nlargest(limit, probabilities, key=probabilities.__getitem__)
    return [_candidate(local_part, options[local_part], chances) for local_part in best]


def _chances(known: Sequence[PatternCount], priors: Mapping[str, float]) -> Mapping[str, float]:
    """Weigh the confirmed patterns of a domain against the priors (the mean of a Dirichlet distribution)."""
    confirmed = {count.pattern: count.confirmed for count in known if count.pattern in priors}
    share = EXISTENCE / (CONCENTRATION + sum(confirmed.values()))
    return {p: share * (CONCENTRATION * chance + confirmed.get(p, 0)) for p, chance in priors.items()}


def likeliest(options: Mapping[str, Ways], chances: Mapping[str, float]) -> Candidate | None:
    """Give the likeliest of these local parts, by the chances of the patterns that lead to them."""
    if not options:
        return None
    local_part = max(options, key=lambda option: _probability(options[option], chances))
    return _candidate(local_part, options[local_part], chances)


def _candidate(local_part: str, ways: Ways, chances: Mapping[str, float]) -> Candidate:
    pattern = max(ways, key=lambda way: way[1] * chances[way[0]])[0]
    return Candidate(local_part, pattern, _probability(ways, chances))


def _probability(ways: Ways, chances: Mapping[str, float]) -> float:
    return sum([weight * chances[pattern] for pattern, weight in ways])
