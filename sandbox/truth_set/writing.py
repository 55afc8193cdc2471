"""How a contact's name is written in a client's list: orders, scripts, titles, and the irregularities of real files."""

import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.truth_set.cultures import Culture, TrueName

_MIDDLE_INITIALS = "ABCDEFGHJKLMNPRST"


@dataclass(frozen=True, slots=True)
class Written:
    """The name fields of a contact; empty where the list has no such column."""

    first_name: str = ""
    last_name: str = ""
    full_name: str = ""


def write_name(rng: random.Random, name: TrueName, culture: Culture) -> Written:
    """Write a name in a form that lists of contacts have."""
    if rng.random() < culture.native:
        return _in_own_script(rng, name)
    given, family = _decorated_given(rng, name), name.family.latin
    title = f"{rng.choice(culture.titles)} " if culture.titles and rng.random() < 0.05 else ""
    suffix = rng.choice(culture.suffixes) if culture.suffixes and rng.random() < 0.05 else ""
    kind = rng.random()
    if kind < 0.6:
        written = Written(first_name=title + given, last_name=family + suffix)
    elif kind < 0.68:
        written = Written(full_name=f"{family}, {given}")
    elif culture.family_first and kind < 0.68 + 0.32 * culture.family_first:
        written = Written(full_name=f"{family} {name.given.latin}")
    else:
        written = Written(full_name=f"{title}{given} {family}{suffix}")
    return _with_noise(rng, written)


def _in_own_script(rng: random.Random, name: TrueName) -> Written:
    given, family = name.given.native, name.family.native
    if rng.random() < 0.5:
        return Written(first_name=given, last_name=family)
    match name.culture:
        case "chinese" | "korean":
            return Written(full_name=family + given)
        case "japanese":
            return Written(full_name=f"{family} {given}")
        case _:
            return Written(full_name=f"{given} {family}")


def _decorated_given(rng: random.Random, name: TrueName) -> str:
    given = name.given.latin
    kind = rng.random()
    if name.nickname and kind < 0.15:
        return name.nickname
    if name.nickname and kind < 0.2:
        return f"{given} ({name.nickname})"
    if name.culture in {"english", "indian", "nordic", "dutch"} and kind > 0.95:
        return f"{given} {rng.choice(_MIDDLE_INITIALS)}."
    return given


def _with_noise(rng: random.Random, written: Written) -> Written:
    kind = rng.random()
    if kind < 0.03:
        return _each(written, str.upper)
    if kind < 0.06:
        return _each(written, str.lower)
    if kind < 0.09:
        return _each(written, lambda text: f" {text.replace(' ', '  ')} " if text else "")
    if kind < 0.11:
        return _each(written, lambda text: unicodedata.normalize("NFD", text))
    if kind < 0.12:
        return _each(written, lambda text: text.replace(" ", "\u00a0").replace("'", "’"))
    return written


def _each(written: Written, change: Callable[[str], str]) -> Written:
    return Written(change(written.first_name), change(written.last_name), change(written.full_name))
