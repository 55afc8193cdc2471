"""Which words of a name are given ones and which the family's, with the weight of each way to see it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.lookup.naming.vocabulary import GIVEN, JOINING, PARTICLES, SURNAMES
from pipeline.lookup.naming.words import key

EASTERN = ("chinese", "korean", "vietnamese", "japanese")
_PATRONYMICS = ("vich", "ovna", "evna", "ichna")


@dataclass(frozen=True, slots=True)
class Split:
    """One way to see a name's words; the name that a person goes by is the first of the given ones.

    `joined` says that the given words are one name in several syllables: Min Jun, Xiao Ming.
    """

    given: tuple[str, ...]
    family: tuple[str, ...]
    weight: float
    joined: bool = False


def culture_of(words: Sequence[str]) -> str:
    """Guess by the family name at either end where a name is from; "" if that can't be told."""
    keys = [key(word) for word in words]
    if len(keys) < 2:
        return ""
    ends = (keys[-1], keys[0])
    scores = {culture: _fit(culture, keys, ends) for culture in SURNAMES}
    best = max(scores, key=scores.__getitem__)
    return best if scores[best] >= 1 else ""


def is_joined(culture: str) -> bool:
    """Whether two given words are syllables of one name there."""
    return culture in {"chinese", "korean", "hongkong_taiwan"}


def split_fields(first: Sequence[str], last: Sequence[str], culture: str) -> list[Split]:
    """The fields say which is which; now and then they were filled in the wrong way round."""
    doubt = 0.25 if _speaks_for_family_first([*first, *last], culture, within=0.8) else 0.0
    joined = is_joined(culture)
    splits = [Split(_called_first(first, culture), tuple(last), 1 - doubt, joined)]
    if doubt:
        splits.append(Split(tuple(last), tuple(first), doubt, joined))
    return splits


def split_words(words: Sequence[str], culture: str) -> list[Split]:
    """See a whole name's words in the ways that are plausible."""
    words = _with_joining_words_attached(words)
    if len(words) < 2:
        return [Split(tuple(words), (), 1.0)]
    capitals = _family_in_capitals(words)
    if capitals:
        return capitals
    if culture in EASTERN:
        return _eastern(words, culture)
    particle = next((i for i, word in enumerate(words) if 0 < i < len(words) - 1 and key(word) in PARTICLES), None)
    if particle is not None:
        return [Split(tuple(words[:particle]), tuple(words[particle:]), 1.0)]
    backwards = _share_of_family_first(words, culture)
    forwards = [_scaled(split, 1 - backwards) for split in _western(words, culture)]
    if not backwards:
        return forwards
    return [*forwards, Split(tuple(words[1:]), (words[0],), backwards)]


def _fit(culture: str, keys: Sequence[str], ends: tuple[str, str]) -> float:
    names = SURNAMES[culture]
    hits = [end in names for end in ends]
    if not any(hits):
        return 0.0
    if culture in EASTERN or culture == "hongkong_taiwan":
        others = [word for word in keys if word not in names]
        if any(word in GIVEN for word in others) and culture != "hongkong_taiwan":
            return 0.3
        return 1.0 + _SHAPES[culture](others)
    return 1.1


def _syllables(words: Sequence[str], *endings: str) -> float:
    parts = [part for word in words for part in word.split("-")]
    return sum(part.endswith(endings) and len(part) <= 6 for part in parts) / max(1, len(parts))


_SHAPES = {
    "chinese": lambda words: 0.5 * _syllables(words, "ng", "n", "o", "i", "u", "a", "e"),
    "hongkong_taiwan": lambda words: 0.25 * _syllables(words, "ng", "k", "t", "p", "h"),
    "korean": lambda words: 0.6 * _syllables(words, "oo", "un", "eon", "young", "hyun", "min", "ook", "uk", "eong", "ae", "yeon", "seok", "hoon", "joon", "woo", "won", "yong", "jin", "ho"),
    "vietnamese": lambda words: 0.4 * _syllables(words, "nh", "uan", "uy", "uc", "ong", "at", "ang", "ieu", "iep", "oc", "oi", "ai", "ung", "ien", "an"),
    "japanese": lambda words: 0.7 * _syllables(words, "a", "i", "u", "e", "o") if words else 0.5,
}


def _eastern(words: Sequence[str], culture: str) -> list[Split]:
    names, keys = SURNAMES[culture], [key(word) for word in words]
    first, last = keys[0] in names, keys[-1] in names
    if culture == "vietnamese":
        backwards = (0.9 if len(words) > 2 else 0.7) if first and not last else 0.35 if first else 0.03
    elif first and not last:
        backwards = 0.9
    else:
        backwards = 0.3 if first else 0.03
    joined = is_joined(culture)
    return [
        Split(_called_first(words[:-1], culture, front=True), (words[-1],), 1 - backwards, joined),
        Split(_called_first(words[1:], culture), (words[0],), backwards, joined),
    ]


def _called_first(given: Sequence[str], culture: str, *, front: bool = False) -> tuple[str, ...]:
    """Put the name that a person goes by first: in Vietnam the last of the given words."""
    if culture == "vietnamese" and len(given) > 1 and not front:
        return (given[-1], *given[:-1])
    return tuple(given)


def _western(words: Sequence[str], culture: str) -> list[Split]:
    *_, middle, last = words
    if len(words) == 2:
        return [Split((words[0],), (last,), 1.0)]
    two_surnames = _share_of_two_surnames(words, culture)
    return [
        Split(tuple(words[:-1]), (last,), 1 - two_surnames),
        *([Split(tuple(words[:-2]), (middle, last), two_surnames)] if two_surnames else []),
    ]


def _share_of_two_surnames(words: Sequence[str], culture: str) -> float:
    """How likely "Ana Garcia Lopez" has two family names rather than a middle name."""
    middle, last = key(words[-2]), key(words[-1])
    if len(middle) == 1 or len(last) == 1 or middle.endswith(_PATRONYMICS):
        return 0.0
    iberian = SURNAMES["spanish"] | SURNAMES["portuguese"]
    if middle in iberian or len(words) > 3:
        return 0.85
    if middle in GIVEN:
        return 0.1
    return 0.5 if last in iberian else 0.3


def _share_of_family_first(words: Sequence[str], culture: str) -> float:
    first, last = key(words[0]), key(words[-1])
    if last.endswith(_PATRONYMICS) and len(words) == 3:
        return 0.97
    if len(words) > 2 and key(words[1]).endswith(_PATRONYMICS):
        return 0.0
    if last in GIVEN and first not in GIVEN:
        return 0.8 if first in SURNAMES["hungarian"] else 0.4
    return 0.0


def _speaks_for_family_first(words: Sequence[str], culture: str, within: float) -> bool:
    if len(words) < 2:
        return False
    splits = _eastern(words, culture) if culture in EASTERN else []
    backwards = splits[1].weight if splits else _share_of_family_first(words, culture)
    return backwards >= within


def _family_in_capitals(words: Sequence[str]) -> list[Split]:
    """Read "DUPONT Jean" and "Jean DUPONT"; nothing if capitals don't tell."""
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


def _with_joining_words_attached(words: Sequence[str]) -> list[str]:
    """Write "Abdul Rahman" and "Mac Donald" as one word where a given name may stand; family names keep theirs."""
    if len(words) < 3 or key(words[0]) not in JOINING:
        return list(words)
    return [f"{words[0]}-{words[1]}", *words[2:]]


def _scaled(split: Split, share: float) -> Split:
    return Split(split.given, split.family, split.weight * share, split.joined)
