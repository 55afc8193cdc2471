"""Learns a domain's spelling styles: ue or u for ü, jean or jeanluc for Jean-Luc, one of two family names or both.

A name alone shows only the usual spelling. Companies are consistent, so the style of one address that was found is
expected of the next.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import replace

from pipeline.lookup.names.parse import Name, Reading
from pipeline.lookup.patterns.patterns import render

USUAL_WEIGHT = 0.7
"""The weight of the usual spelling of a name, in addresses."""
TELLING = 0.5
"""An address shows a style if it removes this share of the doubt about it."""

Style = tuple[str, Hashable]
"""What is chosen, and how."""


class SpellingStyles:
    """The spelling styles that addresses of one domain have shown; `version` changes with each new observation."""

    def __init__(self) -> None:
        self.version = 0
        self._seen: Counter[Style] = Counter()

    def note(self, name: Name, local_part: str, pattern: str) -> None:
        """Learn from a person's address, which follows this pattern."""
        usual = _shares(name.readings)
        shown = _shares([each for each in name.readings if render(pattern, each) == local_part])
        telling = [
            (kind, choice)
            for kind, shares in shown.items()
            for choice, share in shares.items()
            if 1 - share < (1 - usual[kind][choice]) * TELLING
        ]
        self._seen.update(telling)
        self.version += bool(telling)

    def spelled(self, name: Name) -> Name:
        """Return the name with its readings weighed by this domain's styles; the same object if none applies."""
        factors = {kind: self._factors(kind, shares) for kind, shares in _shares(name.readings).items()}
        if not any(factors.values()):
            return name
        weights = [_weight(reading, factors) for reading in name.readings]
        total = sum(weights)
        readings = zip(name.readings, weights, strict=True)
        return replace(name, readings=tuple(replace(each, weight=weight / total) for each, weight in readings))

    def _factors(self, kind: str, usual: Mapping[Hashable, float]) -> Mapping[Hashable, float]:
        seen = {choice: self._seen[kind, choice] for choice in usual}
        total = sum(seen.values())
        if not total or len(usual) == 1:
            return {}
        return {
            choice: (USUAL_WEIGHT + seen[choice] / share) / (USUAL_WEIGHT + total) for choice, share in usual.items()
        }


def _weight(reading: Reading, factors: Mapping[str, Mapping[Hashable, float]]) -> float:
    weight = reading.weight
    for kind, choice in reading.styles:
        weight *= factors[kind].get(choice, 1.0)
    return weight


def _shares(readings: "tuple[Reading, ...] | list[Reading]") -> Mapping[str, Mapping[Hashable, float]]:
    """Return the share of each choice by kind; readings without a kind are left out of it."""
    weights: defaultdict[str, Counter[Hashable]] = defaultdict(Counter)
    for reading in readings:
        for kind, choice in reading.styles:
            weights[kind][choice] += reading.weight  # type: ignore[assignment]
    return {
        kind: {choice: weight / choices.total() for choice, weight in choices.items()}
        for kind, choices in weights.items()
    }
