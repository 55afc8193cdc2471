"""Twenty cultures' names, and people drawn from them."""

import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import product
from typing import Any

USUAL_SPELLING = 0.75
"""The share of people whose name has several spellings in Latin letters that use the usual one."""


@dataclass(frozen=True, slots=True)
class Word:
    """A name in its own script, and as its owner spells it in Latin letters; `rank` 0 is the usual spelling."""

    native: str
    latin: str
    rank: int = 0


@dataclass(frozen=True, slots=True)
class TrueName:
    """A person's name; `nickname` may be empty."""

    culture: str
    given: Word
    family: Word
    nickname: str = ""


@dataclass(frozen=True, slots=True)
class Culture:
    """One culture's names, and how its people are written in lists.

    `native` and `family_first` are the shares of contacts written in the culture's own script, and in Latin
    letters with the family name first.
    """

    name: str
    given: Sequence[Sequence[str]]
    family: Sequence[Sequence[str]]
    nicknames: Mapping[str, str]
    titles: Sequence[str]
    suffixes: Sequence[str]
    native: float
    family_first: float

    def draw(self, rng: random.Random) -> TrueName:
        given, family = _spelled(rng, rng.choice(self.given)), _spelled(rng, rng.choice(self.family))
        return TrueName(self.name, given, family, self.nicknames.get(given.latin, ""))


@lru_cache(maxsize=1)
def cultures() -> Mapping[str, Culture]:
    """Return all cultures by name."""
    tables = tomllib.loads((files("sandbox.truth_set") / "cultures.toml").read_text(encoding="utf-8"))
    return {name: _culture(name, table) for name, table in tables.items()}


def _culture(name: str, table: Mapping[str, Any]) -> Culture:
    composed = product(_items(table.get("stems", "")), _items(table.get("endings", "")))
    family = [*_items(table["family"]), *map("".join, composed)]
    return Culture(
        name=name,
        given=[_forms(entry) for entry in _items(table["given"])],
        family=[_forms(entry) for entry in family],
        nicknames=dict(pair.split("=") for pair in _items(table.get("nicknames", ""))),
        titles=_items(table["titles"]),
        suffixes=[suffix for suffix in table["suffixes"].split("|") if suffix],
        native=table.get("native", 0.0),
        family_first=table.get("family_first", 0.0),
    )


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _forms(entry: str) -> list[str]:
    """Return the native form, then the Latin spellings. An entry without "/" is both."""
    native, _, latin = entry.partition("/")
    return [native, *(latin or native).split("|")]


def _spelled(rng: random.Random, forms: Sequence[str]) -> Word:
    native, usual, *others = forms
    if not others or rng.random() < USUAL_SPELLING:
        return Word(native, usual)
    rank = rng.randrange(len(others))
    return Word(native, others[rank], rank + 1)
