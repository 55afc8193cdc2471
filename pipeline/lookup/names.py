"""From a name as people write it to the spellings that an address may be made of.

A name has several *readings*: Müller is written `mueller` or `muller`, van der Berg `vanderberg` or `berg`.
Each has a weight, the share of companies that would choose it; the weights of a name's readings sum to 1.
"""
# ruff: noqa: SIM905 - a block of words is easier to read and to extend than a list of strings

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from anyascii import anyascii

MAX_READINGS = 8

TITLES = frozenset(
    "dr prof professor mr mrs ms miss mx sir dame lord lady rev hon ing dipl mag herr frau mme mlle monsieur "
    "madame sr sra srta dott dottssa avv dra capt col gen lt maj sgt".split()
)
SUFFIXES = frozenset(
    "jr sr junior senior ii iii iv phd md mba msc bsc esq cpa cfa pmp dds dvm jd llm llb mph rn cissp cfp cpo "
    "obe mbe ret".split()
)
PARTICLES = frozenset(
    "van von der den de del della di da das do dos du des la le las los lo ten ter te zu zum zur af av bin ibn "
    "al el ben abu st san santa vander".split()
)

_ASIDE = re.compile(r"\([^)]*\)|\[[^\]]*\]|\"[^\"]*\"|“[^”]*”|\S+@\S+")
_APOSTROPHES = re.compile(r"['’`´ʼ‘ʻ]")

_AS_IT_IS: Mapping[int, str] = {}
_WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "oe", "å": "aa", "æ": "ae"})
CONVENTIONS = ((_WRITTEN_OUT, 0.55), (_AS_IT_IS, 0.45))
"""How companies spell German and Nordic letters in addresses (ü as ue, or as u), and how often."""

Spellings = Mapping[str, float]
"""The ways to spell one of the parts of a name, with their weights."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to spell a name in an address: lower-case ASCII, `last` empty for people of one name."""

    first: str
    last: str
    weight: float


@dataclass(frozen=True, slots=True)
class Name:
    """A person's name as the ways to spell it, the usual one first; equal names are the same to us."""

    readings: tuple[Reading, ...]


def parse_name(*, first_name: str = "", last_name: str = "", full_name: str = "") -> Name | None:
    """Read a name from one field or two; None if there are no letters to make an address of."""
    given, family = _parts(first_name, last_name, full_name)
    if not given:
        given, family = family, []
    if not given:
        return None
    weights: dict[tuple[str, str], float] = {}
    for convention, share in CONVENTIONS:
        firsts = _given_spellings([_spell(word, convention) for word in given])
        lasts = _family_spellings([_spell(word, convention) for word in family]) or {"": 1.0}
        for first, first_weight in firsts.items():
            for last, last_weight in lasts.items():
                weight = weights.get((first, last), 0.0)
                weights[first, last] = weight + share * first_weight * last_weight
    return Name(_likeliest(Reading(first, last, weight) for (first, last), weight in weights.items()))


def _likeliest(readings: Iterable[Reading]) -> tuple[Reading, ...]:
    kept = sorted(readings, key=lambda reading: -reading.weight)[:MAX_READINGS]
    total = sum(reading.weight for reading in kept)
    return tuple(Reading(reading.first, reading.last, reading.weight / total) for reading in kept)


def _parts(first_name: str, last_name: str, full_name: str) -> tuple[list[str], list[str]]:
    """Find the given and the family words, whichever fields they came in."""
    given, family = _words(first_name), _words(last_name.partition(",")[0])
    if given and family:
        return given, family
    return _split_full(full_name if _words(full_name) else f"{first_name} {last_name}")


def _split_full(text: str) -> tuple[list[str], list[str]]:
    """Split a whole name: at the comma of "Hopper, Grace", before a particle, or before the last word."""
    before, _, after = text.partition(",")
    if _words(before) and _words(after):
        return _words(after), _words(before)
    words = _words(before) or _words(after)
    if len(words) < 2:
        return words, []
    start = next((index for index, word in enumerate(words) if index and word in PARTICLES), len(words) - 1)
    return words[:start], words[start:]


def _words(text: str) -> list[str]:
    """Give the words of a name in lower case, without titles, suffixes, asides and punctuation."""
    text = _APOSTROPHES.sub("", _ASIDE.sub(" ", unicodedata.normalize("NFC", text))).lower()
    letters = "".join(letter if letter == "-" or _belongs_to_a_word(letter) else " " for letter in text)
    words = [word for word in (piece.strip("-") for piece in letters.split()) if _spell(word, _AS_IT_IS)]
    while len(words) > 1 and words[0] in TITLES:
        words = words[1:]
    while len(words) > 1 and words[-1] in SUFFIXES:
        words = words[:-1]
    return [] if len(words) == 1 and words[0] in TITLES | SUFFIXES else words


def _belongs_to_a_word(character: str) -> bool:
    return character.isalpha() or unicodedata.category(character).startswith("M")


def _spell(word: str, convention: Mapping[int, str]) -> str:
    """Write a word in the letters a to z and hyphens, whatever its script; "" if it has no letters."""
    spelled = word if word.isascii() else anyascii(word.translate(convention)).lower()
    return "".join(letter for letter in spelled if "a" <= letter <= "z" or letter == "-").strip("-")


def _given_spellings(words: Sequence[str]) -> Spellings:
    if len(words) > 1 and len(words[0]) == 1:
        # "J. Robert": some go by the name that they write out.
        return _mixed(({words[0]: 1.0}, 0.5), (_given_spellings(words[1:]), 0.5))
    if "-" in words[0]:
        parts = words[0].split("-")
        return _weighed((words[0], 0.5), ("".join(parts), 0.35), (parts[0], 0.15))
    whole = [words[0], *(word for word in words[1:] if len(word) > 1)]
    return _weighed((words[0], 0.8), ("".join(whole), 0.12), ("-".join(whole), 0.08))


def _family_spellings(words: Sequence[str]) -> Spellings:
    if not words:
        return {}
    if words[0] in PARTICLES and len(words) > 1:
        bare = [word for word in words if word not in PARTICLES] or words[-1:]
        joined = _weighed(("".join(words), 0.8), (".".join(words), 0.1), ("-".join(words), 0.1))
        return _mixed((joined, 0.75), (_family_spellings(bare), 0.25))
    if len(words) > 1:
        return _weighed(("".join(words), 0.36), (words[0], 0.35), (words[-1], 0.2), ("-".join(words), 0.09))
    parts = words[0].split("-")
    return _weighed((words[0], 0.5), ("".join(parts), 0.3), (parts[0], 0.1), (parts[-1], 0.1))


def _weighed(*pairs: tuple[str, float]) -> Spellings:
    return _mixed(*(({spelling: weight}, 1.0) for spelling, weight in pairs))


def _mixed(*parts: tuple[Spellings, float]) -> Spellings:
    mixed: dict[str, float] = {}
    for spellings, share in parts:
        for spelling, weight in spellings.items():
            mixed[spelling] = mixed.get(spelling, 0.0) + weight * share
    return mixed
