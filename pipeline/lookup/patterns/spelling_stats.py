"""How a domain spells names: with ue or u for ü, Jean-Luc as jean or as jeanluc, of two family names the first or both.

Names alone tell only what is usual. Each address that is found tells more: companies are consistent, so what one
address shows is expected of the next.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import replace

from pipeline.lookup.names.parse import Name, Reading
from pipeline.lookup.patterns.patterns import render

USUAL_WEIGHT = 0.7
"""As many addresses as this speak as loud as what is usual for a name."""
TELLING = 0.5
"""An address tells about a style if it takes away so much of the doubt about it."""

Style = tuple[str, Hashable]
"""What there is to choose, and how."""


class SpellingStyles:
    """What the addresses of one domain have shown; `version` changes with each that tells something."""

    def __init__(self) -> None:
        self.version = 0
        self._seen: Counter[Style] = Counter()

    def note(self, name: Name, local_part: str, pattern: str) -> None:
        """Learn from somebody's address, of this pattern."""
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
        """The name with its readings weighed as this domain spells; the same object if nothing is known about it."""
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
    """Of each kind the share of each choice; what readings lack a kind are left out of it."""
    weights: defaultdict[str, Counter[Hashable]] = defaultdict(Counter)
    for reading in readings:
        for kind, choice in reading.styles:
            weights[kind][choice] += reading.weight  # type: ignore[assignment]
    return {
        kind: {choice: weight / choices.total() for choice, weight in choices.items()}
        for kind, choices in weights.items()
    }
