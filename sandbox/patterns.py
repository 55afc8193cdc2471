"""How companies make a person's local part out of a name."""

import random
import unicodedata

PATTERN_WEIGHTS = {
    "first.last": 36,
    "flast": 18,
    "first": 8,
    "f.last": 7,
    "firstl": 6,
    "firstlast": 5,
    "last": 4,
    "last.first": 4,
    "first_last": 3,
    "lastfirst": 3,
    "first-last": 2,
    "lastf": 2,
    "first.l": 2,
}
"""Percent of domains that use a pattern: a few patterns serve most of the world, and the tail is long."""

ROOM = {"first": 20, "firstl": 250, "first.l": 250, "last": 400, "flast": 8000, "f.last": 8000, "lastf": 8000}
"""How many people a domain of this pattern takes at most; patterns with both whole names take any number."""


def draw_pattern(rng: random.Random) -> str:
    """One pattern, as often as the world uses it."""
    return rng.choices(tuple(PATTERN_WEIGHTS), tuple(PATTERN_WEIGHTS.values()))[0]


def spell(name: str) -> str:
    """A name as companies here spell it in addresses: no accents, spaces or apostrophes; hyphens stay."""
    decomposed = unicodedata.normalize("NFKD", name.lower())
    return "".join(letter for letter in decomposed if letter == "-" or letter.isalpha())


def local_parts(first: str, last: str) -> dict[str, str]:
    """The local part that each pattern makes of two names that are spelled for an address."""
    f, l = first[0], last[0]  # noqa: E741 - the letters that the patterns themselves are named with
    return {
        "first.last": f"{first}.{last}",
        "flast": f"{f}{last}",
        "first": first,
        "f.last": f"{f}.{last}",
        "firstl": f"{first}{l}",
        "firstlast": f"{first}{last}",
        "last": last,
        "last.first": f"{last}.{first}",
        "first_last": f"{first}_{last}",
        "lastfirst": f"{last}{first}",
        "first-last": f"{first}-{last}",
        "lastf": f"{last}{f}",
        "first.l": f"{first}.{l}",
    }


def likely_local_parts(first_name: str, last_name: str) -> set[str]:
    """Every local part that somebody who looks for this person may reasonably try.

    Nobody else at the same domain may have one of them as a mailbox, or a server's yes would be about the
    wrong person.
    """
    return {
        local_part
        for first in _spellings(first_name)
        for last in _spellings(last_name)
        for local_part in local_parts(first, last).values()
    }


def _spellings(name: str) -> set[str]:
    """The spelling of the companies here, then without hyphens, part by part, and with German umlauts."""
    if name.isascii() and name.isalpha():
        return {name.lower()}
    german = name.lower().replace("ü", "ue").replace("ö", "oe").replace("ä", "ae")
    parts = name.replace("-", " ").replace("'", " ").split()
    whole = {spell(name), spell(name).replace("-", ""), spell(german), "-".join(map(spell, parts))}
    return whole.union(map(spell, parts))
