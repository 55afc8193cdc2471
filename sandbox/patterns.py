"""How companies form a person's local part from the name."""

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
"""Percent of domains that use a pattern: most use one of a few, the others are rare."""

MOST_PEOPLE = {"first": 20, "firstl": 250, "first.l": 250, "last": 400, "flast": 8000, "f.last": 8000, "lastf": 8000}
"""The greatest number of people at a domain of this pattern. Patterns with both whole names have no limit."""


def draw_pattern(rng: random.Random) -> str:
    """Draw a pattern with its real frequency."""
    return rng.choices(tuple(PATTERN_WEIGHTS), tuple(PATTERN_WEIGHTS.values()))[0]


def spell(name: str) -> str:
    """Return a name as these companies spell it in addresses: without accents, spaces, apostrophes; with hyphens."""
    decomposed = unicodedata.normalize("NFKD", name.lower())
    return "".join(letter for letter in decomposed if letter == "-" or letter.isalpha())


def local_parts(first: str, last: str) -> dict[str, str]:
    """Return the local part of each pattern for two names as `spell` returns them."""
    f, l = first[0], last[0]  # noqa: E741 - the letters of the patterns' names
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
    """Return every local part that a search for this person may reasonably probe.

    No colleague may have one of them as a mailbox: the server would accept it, and the result would be the wrong
    person's address.
    """
    return {
        local_part
        for first in _spellings(first_name)
        for last in _spellings(last_name)
        for local_part in local_parts(first, last).values()
    }


def _spellings(name: str) -> set[str]:
    """Return the spelling of these companies, and those without hyphens, of each part, and with ü as ue."""
    if name.isascii() and name.isalpha():
        return {name.lower()}
    german = name.lower().replace("ü", "ue").replace("ö", "oe").replace("ä", "ae")
    parts = name.replace("-", " ").replace("'", " ").split()
    whole = {spell(name), spell(name).replace("-", ""), spell(german), "-".join(map(spell, parts))}
    return whole.union(map(spell, parts))
