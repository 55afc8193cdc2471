"""Spells given and family names of several parts as addresses do, with a weight for each spelling."""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.lookup.names.vocabulary import LONG_FORMS, PARTICLES, SHORT_FORMS

_HONOURING = frozenset({"md", "mohd", "mohamad", "mohamed", "mohammad", "mohammed", "muhamad", "muhammad"})
"""Given names that honour the Prophet: many people who have a second given name use that one."""

Spellings = Mapping[str, float]
"""The spellings of one part of a name, with their weights."""

SHORTENED = 0.04
"""The share of people whose address has the short form of the given name that we know."""
WRITTEN_OUT = 0.1
"""The share of people known to us by a short form whose address has the long one."""
_BY_RANK = (0.6, 0.25, 0.15)
"""The shares of the first, second and third of several short or long forms."""


def given_spellings(words: Sequence[str], *, joined: bool) -> Spellings:
    """Return the spellings of the given names: usually the first alone, in Eastern cultures all syllables joined."""
    if joined and len(words) > 1:
        return weighed(
            ("".join(words), 0.66),
            (words[0], 0.07),
            (words[-1], 0.09),
            ("-".join(words), 0.11),
            (".".join(words), 0.07),
        )
    if len(words) > 1 and len(words[0]) == len(words[1]) == 1:
        # "S. P. Balan"
        return weighed((words[0], 0.55), ("".join(words[:2]), 0.3), (".".join(words[:2]), 0.15))
    if len(words) > 1 and words[0] in _HONOURING:
        return mixed(({words[0]: 1.0}, 0.5), (given_spellings(words[1:], joined=False), 0.5))
    if len(words) > 1 and len(words[0]) == 1:
        # "J. Robert": some people use the name that is written out.
        return mixed(({words[0]: 1.0}, 0.55), (given_spellings(words[1:], joined=False), 0.45))
    if "-" in words[0]:
        parts = words[0].split("-")
        return weighed(
            (words[0], 0.4), ("".join(parts), 0.32), (parts[0], 0.22), (".".join(parts), 0.04), (parts[-1], 0.02)
        )
    usual = _with_other_forms(words[0])
    if len(words) == 1:
        return usual
    if len(words[1]) == 1:
        return mixed((usual, 0.94), ({".".join(words[:2]): 1.0}, 0.06))
    whole = words[:3]
    others = weighed(("".join(whole), 0.4), (words[1], 0.2), (".".join(whole), 0.22), ("-".join(whole), 0.18))
    return mixed((usual, 0.72), (others, 0.28))


def family_spellings(words: Sequence[str]) -> Spellings:
    """Return the spellings of the family name: sometimes without particles, and often one of two names."""
    if not words:
        return {"": 1.0}
    if words[0] in PARTICLES and len(words) > 1:
        bare = [word for word in words if word not in PARTICLES] or words[-1:]
        joined = weighed(("".join(words), 0.82), (".".join(words), 0.1), ("-".join(words), 0.08))
        return mixed((joined, 0.75), (family_spellings(bare), 0.25))
    bare = [word for word in words if word not in PARTICLES]
    if len(bare) > 1 and bare != list(words):
        # Pereira da Costa
        return mixed((_of_two_names(words), 0.4), (_of_two_names(bare), 0.6))
    if len(words) > 1:
        return _of_two_names(words)
    parts = words[0].split("-")
    if len(parts) == 1:
        return {words[0]: 1.0}
    return weighed((words[0], 0.5), ("".join(parts), 0.26), (parts[0], 0.14), (parts[-1], 0.1))


def _of_two_names(words: Sequence[str]) -> Spellings:
    return weighed(
        ("".join(words), 0.36),
        (words[0], 0.33),
        (words[-1], 0.18),
        ("-".join(words), 0.07),
        (".".join(words), 0.06),
    )


def style_of(spelled: str, words: Sequence[str], kind: str) -> tuple[str, str] | None:
    """Return the style in which a name of several parts is spelled; None if there is nothing to choose.

    Names with particles, those with hyphens and those of two words are kinds of their own.
    """
    bare = [part for word in words if word not in PARTICLES for part in word.split("-")]
    parts = [part for word in words for part in word.split("-")]
    if len(parts) < 2:
        return None
    if len(bare) < len(parts):
        kind = f"{kind} with particles" if len(bare) < 2 else kind
    elif len(words) == 1:
        kind = f"{kind} with hyphen"
    forms = {
        "without": "".join(bare) if len(bare) == 1 else "",
        "joined": "".join(bare),
        "all joined": "".join(parts),
        "hyphen": "-".join(bare),
        "all hyphen": "-".join(parts),
        "dots": ".".join(bare),
        "all dots": ".".join(parts),
        "first": bare[0] if bare else "",
        "last": parts[-1],
    }
    return kind, next((style for style, form in forms.items() if form == spelled), "otherwise")


def weighed(*pairs: tuple[str, float]) -> Spellings:
    """Return spellings by weight; the weights of equal ones are added."""
    spellings: dict[str, float] = {}
    for spelling, weight in pairs:
        spellings[spelling] = spellings.get(spelling, 0.0) + weight
    return spellings


def mixed(*parts: tuple[Spellings, float]) -> Spellings:
    """Combine spellings by the share of people who use them."""
    return weighed(
        *((spelling, weight * share) for spellings, share in parts for spelling, weight in spellings.items())
    )


def _with_other_forms(word: str) -> Spellings:
    """Add the short forms of Robert, and the long forms of Bob."""
    short, long = SHORT_FORMS.get(word, ()), LONG_FORMS.get(word, ())
    if not short and not long:
        return {word: 1.0}
    others = [*_shared_out(short, SHORTENED), *_shared_out(long, WRITTEN_OUT)]
    return weighed((word, 1 - sum(weight for _, weight in others)), *others)


def _shared_out(forms: Sequence[str], share: float) -> Iterable[tuple[str, float]]:
    total = sum(_BY_RANK[: len(forms)])
    return [(form, share * weight / total) for form, weight in zip(forms, _BY_RANK, strict=False)]
