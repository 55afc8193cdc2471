"""Parses a name as people write it into the spellings that an address may be made of.

A name has several *readings*: Müller is written `mueller` or `muller`, van der Berg `vanderberg` or `berg`, and the
family name of Liu Yu may be Liu or Yu. The weight of a reading is the share of people for whom it is right; the
weights of a name's readings sum to 1.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

from pipeline.lookup.names import kana
from pipeline.lookup.names.culture import JOINED, culture_of
from pipeline.lookup.names.order import Split, split_fields, split_words
from pipeline.lookup.names.scripts import Convention, pairs_of_conventions
from pipeline.lookup.names.spelling import family_spellings, given_spellings, style_of
from pipeline.lookup.names.syllables import family_first, syllables
from pipeline.lookup.names.words import Words, read_words

MAX_READINGS = 24

CALLED = 0.35
"""The share of people with a name in quotes or brackets whose address is made of that name."""
FORMERLY = 0.15
"""The share of people whose address is still made of their former family name."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to spell a name in an address: in lower-case ASCII; `last` is empty for people with one name.

    `initials` are those of all given names, beginning with the one that the person uses. `styles` are the choices made,
    each as what is chosen and how.
    """

    first: str
    last: str
    weight: float
    initials: str = ""
    styles: tuple[tuple[str, Hashable], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A person's name as its readings, the usual one first; people with equal names count as one person.

    `culture` is where the name seems to be from; "" if that is unclear.
    """

    readings: tuple[Reading, ...]
    culture: str = ""


def parse_name(*, first_name: str = "", last_name: str = "", full_name: str = "") -> Name | None:
    """Parse a name from one field or two; None if there are no letters to build an address from."""
    first, last = read_words(first_name), read_words(last_name)
    if first.main and last.main:
        return _of_fields(first, last)
    whole = next((each for each in (read_words(full_name), first, last) if each.main), None)
    return _of_one_field(whole) if whole else None


def of_one_person(names: Sequence[Name]) -> Name:
    """Return the name of a person whose name is written in several ways; each counts as often as it occurs."""
    if len(set(names)) == 1:
        return names[0]
    readings: dict[tuple[str, str, str], Reading] = {}
    for reading in (reading for name in names for reading in name.readings):
        key = reading.first, reading.last, reading.initials
        known = readings.get(key)
        readings[key] = replace(known, weight=known.weight + reading.weight) if known else reading
    kept = sorted(readings.values(), key=lambda reading: -reading.weight)[:MAX_READINGS]
    total = sum(reading.weight for reading in kept)
    return Name(tuple(replace(each, weight=each.weight / total) for each in kept), names[0].culture)


def _of_fields(first: Words, last: Words) -> Name | None:
    words = replace(first, called=[*first.called, *last.called], formerly=last.formerly)
    culture = culture_of([*first.main, *last.main])
    return _name(split_fields(first.main, last.main, culture), words, culture)


def _of_one_field(words: Words) -> Name | None:
    if words.called and len(words.main) == 1 and not words.after_comma:
        # "Grace" Hopper
        words = replace(words, main=[*words.called, *words.main], called=())
    certain = _family_and_given(words)
    if certain is None:
        culture = culture_of(words.main)
        return _name(split_words(words.main, culture), words, culture)
    family, given = certain
    culture = culture_of([*given, *family])
    return _name([Split(tuple(given), tuple(family), 1.0, culture in JOINED)], words, culture)


def _family_and_given(words: Words) -> tuple[Sequence[str], Sequence[str]] | None:
    """Return the family and the given names if a comma or the script says which is which."""
    if words.after_comma:
        return words.main, words.after_comma
    native = family_first(words.main) or kana.family_first(words.main)
    return ([native[0]], [native[1]]) if native else None


def _name(splits: Sequence[Split], words: Words, culture: str) -> Name | None:
    weights: dict[tuple[str, str, str], float] = {}
    styles: dict[tuple[str, str, str], tuple[tuple[str, Hashable], ...]] = {}
    for split in _with_other_names(splits, words):
        lower = replace(split, given=_lower(split.given), family=_lower(split.family))
        for conventions in pairs_of_conventions("".join((*lower.given, *lower.family))):
            spelled = _spelled(lower, *conventions[:2])
            for reading, weight in _readings(spelled):
                weights[reading] = weights.get(reading, 0.0) + conventions[2] * split.weight * weight
                styles.setdefault(reading, _styles(reading, spelled, *conventions[:2]))
    kept = sorted(weights.items(), key=lambda item: -item[1])[:MAX_READINGS]
    total = sum(weight for _, weight in kept)
    readings = (Reading(*reading[:2], weight / total, reading[2], styles[reading]) for reading, weight in kept)
    return Name(tuple(readings), culture) if kept else None


def _spelled(split: Split, given: Convention, family: Convention) -> Split:
    """Spell all words in the letters of addresses; a word without such letters becomes empty."""
    return replace(split, given=tuple(map(given, split.given)), family=tuple(map(family, split.family)))


def _styles(
    reading: tuple[str, str, str], spelled: Split, given: Convention, family: Convention
) -> tuple[tuple[str, Hashable], ...]:
    """Return the choices behind a reading: the letters, and which of several given and family names."""
    first, last, _ = reading
    chosen = dict(
        filter(
            None,
            (spelled.style, style_of(first, spelled.given, "given"), style_of(last, spelled.family, "family")),
        )
    )
    letters = {"letters": given} if given is family else {}
    return tuple((letters | chosen).items())


def _readings(spelled: Split) -> Sequence[tuple[tuple[str, str, str], float]]:
    given, family = list(filter(None, spelled.given)), list(filter(None, spelled.family))
    if not given:
        given, family = family, []
    if not given:
        return ()
    lasts = family_spellings(family)
    return [
        ((first, last, _initials(first, given, in_syllables=spelled.joined)), first_weight * last_weight)
        for first, first_weight in given_spellings(given, joined=spelled.joined).items()
        for last, last_weight in lasts.items()
    ]


def _initials(first: str, given: Sequence[str], *, in_syllables: bool) -> str:
    """Return the initials of all given names, beginning with the one in use: Jean-Pierre has jp, Pierre too."""
    if in_syllables and len(given) == 1:
        given = syllables(given[0])
    all_of_them = "".join(part[0] for word in given for part in word.split("-") if part)
    return first[0] + all_of_them[1:]


def _with_other_names(splits: Sequence[Split], words: Words) -> Sequence[Split]:
    """Add the splits with a name in quotes or brackets, and with a former family name."""
    others = list(splits)
    for split in splits:
        if words.called:
            others.append(replace(split, given=tuple(words.called), weight=split.weight * CALLED / (1 - CALLED)))
        if words.formerly and split.family:
            others.append(replace(split, family=tuple(words.formerly), weight=split.weight * FORMERLY / (1 - FORMERLY)))
    return others


def _lower(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.lower().replace("i̇", "i") for word in words)
