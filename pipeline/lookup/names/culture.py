"""Guesses where a name is from, by its family name and the shape of the other words."""

import re
from collections.abc import Mapping, Sequence

from pipeline.lookup.names.scripts import VIETNAMESE_LETTERS
from pipeline.lookup.names.syllables import PINYIN
from pipeline.lookup.names.vocabulary import GIVEN, SURNAMES
from pipeline.lookup.names.words import key

EASTERN = frozenset({"chinese", "hongkong_taiwan", "japanese", "korean", "vietnamese"})
"""Cultures whose family name may come first; lists of family names tell which word it is."""
JOINED = frozenset({"chinese", "korean", "hongkong_taiwan"})
"""Cultures in which two given words are syllables of one name: Min Jun, Xiao Ming."""

_WESTERN_SCORE = 1.1
_SHAPES: Mapping[str, tuple[float, re.Pattern[str]]] = {
    "chinese": (0.5, re.compile(f"(?:{PINYIN}){{1,2}}")),
    "hongkong_taiwan": (0.25, re.compile("[a-z]{1,3}?[aeiouy]{1,3}(?:ng|n|m|ck|k|t|p|h)?")),
    "japanese": (0.7, re.compile("(?:(?:[kgsztdnhbpmyrwjf]|[kgnhbpmr]y|sh|ch|ts)?[aiueo]|n(?![aiueoy]))+h?")),
    "korean": (
        0.45,
        re.compile("(?:[a-z]{0,2}(?:yeo|eo|oo|ye|ya|yu|yo|wo|wa|ae|eu|ee|[aeiou])(?:ng|n|l|m|k|p)?){1,2}"),
    ),
    "vietnamese": (0.4, re.compile("[a-z]{0,3}?[aeiouy]{1,3}(?:ng|nh|ch|n|m|t|p|c)?")),
}
"""The shape of a culture's given names and its weight as evidence, since cultures share family names such as Lee."""


def culture_of(words: Sequence[str]) -> str:
    """Return the culture of a name, a key of SURNAMES; "" if it is unclear."""
    keys = [key(word) for word in words]
    if len(keys) < 2:
        return ""
    if not VIETNAMESE_LETTERS.isdisjoint("".join(words).lower()) and _score("vietnamese", keys):
        return "vietnamese"
    scores = {culture: _score(culture, keys) for culture in SURNAMES}
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] >= 1 else ""


def _score(culture: str, keys: Sequence[str]) -> float:
    names = SURNAMES[culture]
    if keys[0] not in names and keys[-1] not in names:
        return 0.0
    if culture not in _SHAPES:
        return _WESTERN_SCORE
    others = [word for word in keys if word not in names]
    if culture != "hongkong_taiwan" and any(word in GIVEN for word in others):
        # "Peter Kim" and "Jane Tran" live where given names come first.
        return 0.0
    weight, shape = _SHAPES[culture]
    share = _share_of_shape(shape, others)
    if keys[-1] not in names and (share <= 0.5 or _has_one_syllable(culture, keys[1:])):
        # "Lee Smith" is not of the Lee family.
        return 0.0
    if others and share <= 0.5 and culture != "hongkong_taiwan":
        # "Marta Moreno Gil" is no Korean, but "Peter Cheung" is from Hong Kong.
        return 0.0
    return 1.0 + weight * share


def _has_one_syllable(culture: str, given: Sequence[str]) -> bool:
    return culture == "hongkong_taiwan" and len(given) == 1 and "-" not in given[0]


def _share_of_shape(shape: re.Pattern[str], words: Sequence[str]) -> float:
    parts = [part for word in words for part in word.split("-")]
    return sum(shape.fullmatch(part) is not None for part in parts) / max(1, len(parts))
