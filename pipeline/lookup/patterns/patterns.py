"""The patterns by which companies build a local part from a name, and how common each is at any domain.

The shares were counted over 15,900 corporate addresses of developers at 2,206 domains (at most 60 of each), over those
that any pattern explains. Where another count is published, of 2,478 such addresses (`first.last` 36%, `flast` 13%,
`first` 4.5%, `firstl` 4%, `lastfirst` 2%, `last` 2%, `firstlast` 1.6%), the share is the geometric mean of both. The
rarer patterns with a separator have higher shares than counted, as in other lists, so that a search that learns can
find them. A number in a pattern's name is the number of letters: `flast7` is `flast` cut off at eight characters.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from pipeline.contacts import PatternCount
from pipeline.lookup.names.parse import Name, Reading

PATTERNS: Mapping[str, tuple[str, float]] = {
    "first.last": ("{first}.{last}", 0.5064),
    "flast": ("{f}{last}", 0.1574),
    "first": ("{first}", 0.0764),
    "firstl": ("{first}{l}", 0.0440),
    "f.last": ("{f}.{last}", 0.0282),
    "flast7": ("{f}{last:.7}", 0.0279),
    "last": ("{last}", 0.0274),
    "lastfirst": ("{last}{first}", 0.0220),
    "first_last": ("{first}_{last}", 0.0207),
    "firstlast": ("{first}{last}", 0.0199),
    "first-last": ("{first}-{last}", 0.0120),
    "last.first": ("{last}.{first}", 0.0115),
    "first.l": ("{first}.{l}", 0.0100),
    "fl": ("{f}{l}", 0.0082),
    "lastf": ("{last}{f}", 0.0075),
    "first2last": ("{first:.2}{last}", 0.0073),
    "flast2": ("{f}{last:.2}", 0.0052),
    "f_last": ("{f}_{last}", 0.0050),
    "last.f": ("{last}.{f}", 0.0045),
    "last_first": ("{last}_{first}", 0.0045),
    "firstlast2": ("{first}{last:.2}", 0.0044),
    "first4last4": ("{first:.4}{last:.4}", 0.0040),
    "fmlast": ("{initials}{last}", 0.0039),
    "lastfm": ("{last}{initials}", 0.0037),
    "lfirst": ("{l}{first}", 0.0036),
    "fml": ("{initials}{l}", 0.0020),
    "first2l": ("{first:.2}{l}", 0.0020),
    "first2last2": ("{first:.2}{last:.2}", 0.0018),
    "f-last": ("{f}-{last}", 0.0010),
    "l.first": ("{l}.{first}", 0.0010),
    "last-first": ("{last}-{first}", 0.0010),
    "firstmlast": ("{first}{m}{last}", 0.0007),
    "firstlm": ("{first}{l}{m}", 0.0006),
    "first.m.last": ("{first}.{m}.{last}", 0.0006),
    "lf": ("{l}{f}", 0.0004),
}
"""The template and the share of each pattern."""

_TOTAL = sum(share for _, share in PATTERNS.values())
PRIORS: Mapping[str, float] = {pattern: share / _TOTAL for pattern, (_, share) in PATTERNS.items()}
"""The chance of each pattern at a domain about which nothing is known; the chances sum to 1."""

COMMON = frozenset(pattern for pattern, (_, share) in PATTERNS.items() if share >= 0.0045)
"""Patterns worth a probe at any domain; a rarer one must be confirmed by a colleague's address first."""

LONGEST = 64
"""Octets of a local part (RFC 5321 4.5.3.1.1)."""

Ways = Sequence[tuple[str, float]]
"""The (pattern, weight) pairs by which one local part is built from a name."""

_WITH_MIDDLE = [pattern for pattern, (template, _) in PATTERNS.items() if "{m}" in template or "{initials}" in template]
_OF_ONE_NAME = ["first"]
_OF_TWO_NAMES = [pattern for pattern in PATTERNS if pattern not in _WITH_MIDDLE]


def _together(patterns: Sequence[str]) -> tuple[Sequence[str], str]:
    """Join templates, for speed: a name is then rendered by all patterns at once."""
    return patterns, " ".join(PATTERNS[pattern][0] for pattern in patterns)


_FOR_ONE, _FOR_TWO, _FOR_ALL = map(_together, (_OF_ONE_NAME, _OF_TWO_NAMES, list(PATTERNS)))


def render(pattern: str, reading: Reading) -> str | None:
    """Return the local part; None if the pattern needs a part that the name does not have.

    Raises KeyError for an unknown pattern.
    """
    if pattern not in PATTERNS:
        raise KeyError(pattern)
    return dict(_render_all(reading)).get(pattern)


def local_parts(name: Name) -> Mapping[str, Ways]:
    """Return every local part that the patterns build from a name, with the ways that lead to it."""
    ways: dict[str, list[tuple[str, float]]] = {}
    for reading in name.readings:
        for pattern, local_part in _render_all(reading):
            if len(local_part) > LONGEST or local_part.endswith("."):
                # A name of two words may have been cut off after the dot between them.
                continue
            ways.setdefault(local_part, []).append((pattern, reading.weight))
    return ways


def all_local_parts(name: Name) -> Collection[str]:
    """Return the local parts of `local_parts`, without the ways: in half the time."""
    rendered = (part for reading in name.readings for _, part in _render_all(reading))
    return {part for part in rendered if len(part) <= LONGEST and not part.endswith(".")}


def _render_all(reading: Reading) -> Sequence[tuple[str, str]]:
    first, last, middle = reading.first, reading.last, reading.initials[1:]
    patterns, templates = (_FOR_ALL if middle else _FOR_TWO) if last else _FOR_ONE
    rendered = templates.format(
        first=first,
        last=last,
        f=first[:1],
        l=last[:1],
        m=middle,
        initials=reading.initials,
    )
    return list(zip(patterns, rendered.split(" "), strict=True))


def recognise(local_part: str, name: Name) -> str | None:
    """Return the pattern by which a local part was built from a name, the most common one if several fit.

    A number at the end, which distinguishes namesakes, is ignored.
    """
    return _likeliest(_ways_to(local_part, name), PRIORS)


def count_patterns(people: Iterable[tuple[Name, str]]) -> list[PatternCount]:
    """Count the patterns of the local parts of one domain's people, the most common first.

    If several patterns fit a local part, colleagues decide: `liw` is `firstl` among `annaf` and `zoet`.
    """
    fitting = [ways for name, local_part in people if (ways := _ways_to(local_part, name))]
    weights = dict(PRIORS)
    for ways in fitting:
        total = sum(weight * PRIORS[pattern] for pattern, weight in ways)
        for pattern, weight in ways:
            weights[pattern] += weight * PRIORS[pattern] / total
    counts = Counter(_likeliest(ways, weights) for ways in fitting)
    return [PatternCount(pattern, count) for pattern, count in counts.most_common() if pattern]


def _ways_to(local_part: str, name: Name) -> Ways:
    ways, bare = local_parts(name), local_part.lower().partition("+")[0]
    return ways.get(bare) or ways.get(bare.rstrip("0123456789"), ())


def _likeliest(ways: Ways, chances: Mapping[str, float]) -> str | None:
    return max(ways, key=lambda way: way[1] * chances[way[0]], default=("", 0.0))[0] or None
