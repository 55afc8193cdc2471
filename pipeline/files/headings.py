"""What the headings of columns mean, in the words of the systems that export them (`headings.toml`)."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

from anyascii import anyascii

LONGEST = 80
"""Characters of a heading that are read; longer ones are texts."""
FIELDS = ("first_name", "last_name", "full_name", "company", "domain", "email")
_E_MAIL = re.compile(r"\be mail")
_NOT_A_WORD = re.compile(r"[\W_]+")
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NOTE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_OBJECTS = ("contact", "lead", "account", "person", "people", "company", "organization", "organisation", "customer",
            "prospect", "user", "member", "properties", "attributes", "fields", "kontakt", "unternehmen", "firma",
            "entreprise", "empresa", "contacto", "contato", "azienda", "contatto", "bedrijf", "osoba",
            "personne", "persona", "pessoa", "persoon", "organizacion", "organizacao", "organizzazione", "organisatie",
            "organizacja")  # fmt: skip
"""What headings may begin with: the object that has the field, as in joined reports and answers of APIs."""


class Meaning(NamedTuple):
    """The field that a heading names, and its place in the order of preference: 0 is the first."""

    field: str
    rank: int


def plain_heading(heading: str) -> str:
    """A heading as `headings.toml` spells it: `E-Mail 1 - Value` is `e mail 1 value`."""
    return _NOT_A_WORD.sub(" ", anyascii(_HUMPS.sub(" ", heading.strip()))).strip().lower()


def meaning_of(heading: str) -> Meaning | None:
    """What a heading means; None if it is not known, or known as none of our fields."""
    meaning = next(filter(None, (_meanings().get(spelling) for spelling in _spellings(heading))), None)
    return meaning if meaning and meaning.field in FIELDS else None


def _spellings(heading: str) -> Iterator[str]:
    """The ways to read a heading: as it is, without notes in brackets, each of two languages, without its object."""
    heading = heading[:LONGEST]
    readings = dict.fromkeys([heading, heading.lower(), _NOTE.sub(" ", heading), *heading.split("/")])
    plain = [_email_in_one_word(plain_heading(reading)) for reading in readings]
    yield from plain
    for reading in plain:
        first, _, rest = reading.partition(" ")
        if first in _OBJECTS and rest:
            yield rest


def _email_in_one_word(plain: str) -> str:
    """`E-Mail`, `e mail` and `Email` are written in all languages."""
    return _E_MAIL.sub("email", plain)


def count_known(headings: Sequence[str]) -> int:
    """How many different headings of a row are known."""
    known = (_known(heading) for heading in headings if len(heading) < LONGEST)
    return len(set(filter(None, known)))


@lru_cache(4096)
def _known(heading: str) -> str | None:
    return next((spelling for spelling in _spellings(heading) if spelling in _meanings()), None)


@cache
def _meanings() -> Mapping[str, Meaning]:
    text = files("pipeline.files").joinpath("headings.toml").read_text("utf-8")
    meanings: dict[str, Meaning] = {}
    for field, headings in tomllib.loads(text).items():
        for rank, heading in enumerate(headings):
            meanings.setdefault(_email_in_one_word(heading), Meaning(field, rank))
    return meanings
