"""The addresses that a person may have at a domain, the likely ones first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.lookup.belief import PatternBelief
from pipeline.lookup.names import Name
from pipeline.lookup.patterns import Ways, local_parts
from pipeline.records import PatternCount

LIMIT = 20
"""Candidates of one person that are worth asking about."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A local part that a person may have, the likeliest pattern behind it, and the chance that it is right."""

    local_part: str
    pattern: str
    probability: float


def candidates(name: Name, known: Sequence[PatternCount] = (), limit: int = LIMIT) -> list[Candidate]:
    """Rank a person's distinct candidates at a domain whose confirmed patterns may be known."""
    chances, options = PatternBelief(known).chances_of({}), local_parts(name)
    ranked = [_candidate(local_part, ways, chances) for local_part, ways in options.items()]
    return sorted(ranked, key=lambda candidate: -candidate.probability)[:limit]


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
