"""Splits the words of a name into given and family names, with a weight for each plausible split."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.lookup.names.culture import EASTERN, JOINED
from pipeline.lookup.names.vocabulary import GIVEN, JOINING, PARTICLES, SURNAMES
from pipeline.lookup.names.words import key

ALL_AS_ONE = 0.3
"""The share of Vietnamese people with a given name of two words whose address has both: minhchau."""
_THE_ONE_IN_USE = {"spanish": (0, "first"), "portuguese": (-1, "last")}
_PATRONYMICS = ("vich", "ovna", "evna", "ichna")


@dataclass(frozen=True, slots=True)
class Split:
    """One way to split the words of a name; the first of the given names is the one that the person uses.

    `style` is the choice made where others are possible, such as the first of two family names. `joined` says that the
    given words are the syllables of one name: Min Jun, Xiao Ming.
    """

    given: tuple[str, ...]
    family: tuple[str, ...]
    weight: float
    joined: bool = False
    style: tuple[str, str] | None = None


def split_fields(first: Sequence[str], last: Sequence[str], culture: str) -> list[Split]:
    """Split by the fields; now and then they were filled in the wrong way round."""
    doubt = 0.25 if _speaks_for_family_first([*first, *last], culture, within=0.8) else 0.0
    joined = culture in JOINED
    last = _without_conjunction(last, culture)
    splits = [*_called(first, culture, Split((), tuple(last), 1 - doubt, joined))]
    if doubt:
        splits.append(Split(tuple(last), tuple(first), doubt, joined))
    return splits


def split_words(words: Sequence[str], culture: str) -> list[Split]:
    """Return the plausible splits of a name that is in one field."""
    words = _with_joining_words_attached(_without_conjunction(words, culture))
    if len(words) < 2:
        return [Split(tuple(words), (), 1.0)]
    capitals = _family_in_capitals(words)
    if capitals:
        return capitals
    if culture in EASTERN:
        return _eastern(words, culture)
    particle = next((i for i, word in enumerate(words) if 0 < i < len(words) - 1 and key(word) in PARTICLES), None)
    if particle is not None:
        return _by_one_surname(Split(tuple(words[:particle]), tuple(words[particle:]), 1.0), culture)
    backwards = _share_of_family_first(words)
    forwards = [
        replace(one, weight=one.weight * (1 - backwards))
        for split in _western(words)
        for one in _by_one_surname(split, culture)
    ]
    if not backwards:
        return forwards
    return [*forwards, Split(tuple(words[1:]), (words[0],), backwards)]


def _eastern(words: Sequence[str], culture: str) -> list[Split]:
    names, keys = SURNAMES[culture], [key(word) for word in words]
    first, last = keys[0] in names, keys[-1] in names
    if culture == "vietnamese":
        backwards = (0.9 if len(words) > 2 else 0.7) if first and not last else 0.35 if first else 0.03
    elif first and not last:
        backwards = 0.9
    else:
        backwards = 0.3 if first else 0.03
    joined = culture in JOINED
    return [
        *_called(words[:-1], culture, Split((), (words[-1],), 1 - backwards, joined)),
        *_called(words[1:], culture, Split((), (words[0],), backwards, joined)),
    ]


def _called(given: Sequence[str], culture: str, split: Split) -> Sequence[Split]:
    """Put the name that the person uses first: in Vietnam the last of the given words, or all of them as one."""
    if culture != "vietnamese" or len(given) < 2:
        return [replace(split, given=tuple(given))]
    called, as_one = (given[-1], *given[:-1]), ("".join(given),)
    return [
        replace(split, given=called, weight=split.weight * (1 - ALL_AS_ONE), style=("called", "last")),
        replace(split, given=as_one, weight=split.weight * ALL_AS_ONE, style=("called", "as one")),
    ]


def _western(words: Sequence[str]) -> list[Split]:
    *_, middle, last = words
    if len(words) == 2:
        return [Split((words[0],), (last,), 1.0)]
    two_surnames = _share_of_two_surnames(words)
    return [
        Split(tuple(words[:-1]), (last,), 1 - two_surnames),
        *([Split(tuple(words[:-2]), (middle, last), two_surnames)] if two_surnames else []),
    ]


def _by_one_surname(split: Split, culture: str) -> list[Split]:
    """Of several family names, Spaniards use the first, their father's; Portuguese and Brazilians use the last."""
    surnames = [word for word in split.family if key(word) not in PARTICLES]
    if len(surnames) < 2 or culture not in _THE_ONE_IN_USE:
        return [split]
    one, style = _THE_ONE_IN_USE[culture]
    short = replace(split, family=(surnames[one],), weight=0.5 * split.weight, style=("family", style))
    return [short, replace(split, weight=0.5 * split.weight)]


def _share_of_two_surnames(words: Sequence[str]) -> float:
    """Return the chance that "Ana Garcia Lopez" has two family names rather than a middle name."""
    middle, last = key(words[-2]), key(words[-1])
    if len(middle) == 1 or len(last) == 1 or middle.endswith(_PATRONYMICS):
        return 0.0
    iberian = SURNAMES["spanish"] | SURNAMES["portuguese"]
    if middle in iberian or len(words) > 3:
        return 0.85
    if middle in GIVEN:
        return 0.1
    return 0.5 if last in iberian else 0.3


def _share_of_family_first(words: Sequence[str]) -> float:
    first, last = key(words[0]), key(words[-1])
    if last.endswith(_PATRONYMICS) and len(words) == 3:
        return 0.97
    if len(words) > 2 and key(words[1]).endswith(_PATRONYMICS):
        return 0.0
    if first in SURNAMES["hungarian"] and last not in SURNAMES["hungarian"]:
        return 0.8 if last in GIVEN and first not in GIVEN else 0.25 if first in GIVEN else 0.6
    return 0.4 if last in GIVEN and first not in GIVEN else 0.0


def _speaks_for_family_first(words: Sequence[str], culture: str, within: float) -> bool:
    if len(words) < 2:
        return False
    splits = _eastern(words, culture) if culture in EASTERN else []
    if not splits:
        return _share_of_family_first(words) >= within
    return sum(split.weight for split in splits if split.family == (words[0],)) >= within


def _family_in_capitals(words: Sequence[str]) -> list[Split]:
    """Split "DUPONT Jean" and "Jean DUPONT"; empty if capitals do not tell the names apart."""
    loud = [len(word) > 1 and word.isupper() for word in words]
    if not any(loud) or all(flag or len(word) == 1 for flag, word in zip(loud, words, strict=True)):
        return []
    front = loud.index(False)
    if front and not any(loud[front:]):
        return [Split(tuple(words[front:]), tuple(words[:front]), 1.0)]
    back = loud.index(True)
    if back and all(loud[back:]):
        return [Split(tuple(words[:back]), tuple(words[back:]), 1.0)]
    return []


def _without_conjunction(words: Sequence[str], culture: str) -> Sequence[str]:
    """Drop a conjunction: Muñoz y Ruiz is the same name as Muñoz Ruiz, Sousa e Silva the same as Sousa Silva."""
    conjunction = {"spanish": "y", "portuguese": "e"}.get(culture)
    inside = range(1, len(words) - 1)
    return [word for place, word in enumerate(words) if place not in inside or word.lower() != conjunction]


def _with_joining_words_attached(words: Sequence[str]) -> list[str]:
    """Join "Abdul Rahman" and "Mac Donald" into one word at the start of a name; family names keep their words."""
    if len(words) < 3 or key(words[0]) not in JOINING:
        return list(words)
    return [f"{words[0]}-{words[1]}", *words[2:]]
