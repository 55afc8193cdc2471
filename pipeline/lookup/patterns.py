"""The ways companies make a local part of a name, and how common each is before a domain is known.

The first seven shares are of 2,478 corporate addresses of developers with public name and address; those of
the rest are estimates that keep the order seen in other lists.
"""

from collections.abc import Mapping, Sequence

from pipeline.lookup.names import Name, Reading

PATTERNS: Mapping[str, tuple[str, float]] = {
    "first.last": ("{first}.{last}", 0.36),
    "flast": ("{f}{last}", 0.13),
    "first": ("{first}", 0.045),
    "firstl": ("{first}{l}", 0.04),
    "lastfirst": ("{last}{first}", 0.02),
    "last": ("{last}", 0.02),
    "firstlast": ("{first}{last}", 0.016),
    "f.last": ("{f}.{last}", 0.03),
    "last.first": ("{last}.{first}", 0.014),
    "first_last": ("{first}_{last}", 0.013),
    "lastf": ("{last}{f}", 0.012),
    "first.l": ("{first}.{l}", 0.01),
    "first-last": ("{first}-{last}", 0.008),
    "fl": ("{f}{l}", 0.006),
    "f_last": ("{f}_{last}", 0.004),
    "last_first": ("{last}_{first}", 0.003),
    "last.f": ("{last}.{f}", 0.003),
}
"""Each pattern's template and share."""

_TOTAL = sum(share for _, share in PATTERNS.values())
PRIORS: Mapping[str, float] = {pattern: share / _TOTAL for pattern, (_, share) in PATTERNS.items()}
"""The chance of each pattern at a domain of which nothing is known; they sum to 1."""

_NEED_NO_LAST_NAME = {"first"}

Ways = Sequence[tuple[str, float]]
"""The (pattern, weight) pairs by which a name gives one local part."""


def render(pattern: str, reading: Reading) -> str | None:
    """Make the local part; None if the pattern needs a part that the name does not have.

    Raises KeyError for an unknown pattern.
    """
    template, _ = PATTERNS[pattern]
    if not reading.last and pattern not in _NEED_NO_LAST_NAME:
        return None
    return template.format(first=reading.first, last=reading.last, f=reading.first[:1], l=reading.last[:1])


def local_parts(name: Name) -> Mapping[str, Ways]:
    """Give every local part that the patterns make of a name, with the ways that lead to it."""
    ways: dict[str, list[tuple[str, float]]] = {}
    for reading in name.readings:
        for pattern in PATTERNS:
            local_part = render(pattern, reading)
            if local_part:
                ways.setdefault(local_part, []).append((pattern, reading.weight))
    return ways


def recognise(local_part: str, name: Name) -> str | None:
    """Say by which pattern a local part was made of a name, the commonest if several fit."""
    ways = local_parts(name).get(local_part.lower().partition("+")[0], ())
    return max(ways, key=lambda way: way[1] * PRIORS[way[0]], default=("", 0.0))[0] or None
