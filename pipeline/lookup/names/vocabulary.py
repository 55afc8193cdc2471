"""The lists of words in vocabulary.toml, read once."""

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

_TABLES: Mapping[str, Any] = tomllib.loads(files(__package__).joinpath("vocabulary.toml").read_text("utf-8"))

TITLES = frozenset(_TABLES["titles"].split())
SUFFIXES = frozenset(_TABLES["suffixes"].split())
FACULTIES = frozenset(_TABLES["faculties"].split())
"""Words behind the title of a doctor: Dr. med., Dr. rer. nat."""
ROLES = frozenset(_TABLES["roles"].split())
"""What people do: Grace Hopper, Head of Compilers."""
PARTICLES = frozenset(_TABLES["particles"].split())
JOINING = frozenset(_TABLES["joining"].split())
"""Particles that belong to the word that follows, within a given name too: Abdul Rahman, Mac Donald."""
FAMILY_MARKERS = frozenset(_TABLES["family_markers"].split())
"""Words before a former family name."""

SURNAMES: Mapping[str, frozenset[str]] = {
    culture: frozenset(words.split()) for culture, words in _TABLES["surnames"].items()
}
GIVEN = frozenset(_TABLES["given"]["common"].split()) | frozenset(_TABLES["nicknames"])


def _lists(table: str) -> Mapping[str, Sequence[str]]:
    return {word: tuple(forms.split()) for word, forms in _TABLES[table].items()}


SHORT_FORMS = _lists("nicknames")
"""The short forms of a given name, the usual one first."""
KOREAN_SURNAMES = _lists("korean_surnames")
CHINESE_SURNAMES = _lists("chinese_surnames")
CUSTOMARY = _lists("customary")
"""Customary Latin forms of words in other scripts that follow no rule, the usual one first."""


def _long_forms() -> Mapping[str, Sequence[str]]:
    long: dict[str, list[tuple[int, str]]] = {}
    for name, forms in SHORT_FORMS.items():
        for rank, form in enumerate(forms):
            long.setdefault(form, []).append((rank, name))
    return {form: tuple(name for _, name in sorted(ranked)) for form, ranked in long.items()}


LONG_FORMS = _long_forms()
"""The given names that a short form may stand for; those whose usual short form it is come first."""
