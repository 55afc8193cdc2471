"""What the headings of columns mean, in the words of the systems that export them (`headings.toml`)."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from anyascii import anyascii

FIELDS = ("first_name", "last_name", "full_name", "company", "domain", "email")
_NOT_A_WORD = re.compile(r"[\W_]+")
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Meaning(NamedTuple):
    """The field that a heading names, and its place in the order of preference: 0 is the first."""

    field: str
    rank: int


def plain_heading(heading: str) -> str:
    """A heading as `headings.toml` spells it: `E-Mail 1 - Value` is `e mail 1 value`."""
    return _NOT_A_WORD.sub(" ", anyascii(_HUMPS.sub(" ", heading.strip()))).strip().lower()


def meaning_of(heading: str) -> Meaning | None:
    """What a heading means; None if it is not known, or known as none of our fields."""
    meaning = _meanings().get(plain_heading(heading)) or _meanings().get(plain_heading(heading.lower()))
    return meaning if meaning and meaning.field in FIELDS else None


def count_known(headings: Sequence[str]) -> int:
    """How many different headings of a row are known."""
    known = {plain_heading(heading) for heading in headings if len(heading) < 80} & _meanings().keys()
    return len(known)


@cache
def _meanings() -> Mapping[str, Meaning]:
    text = files("pipeline.files").joinpath("headings.toml").read_text("utf-8")
    meanings: dict[str, Meaning] = {}
    for field, headings in tomllib.loads(text).items():
        for rank, heading in enumerate(headings):
            meanings.setdefault(heading, Meaning(field, rank))
    return meanings
