"""Tells whether two contacts are one person: the same words of a name, at the same company.

The words may stand in other fields and another order, with or without titles and degrees. Accents and capitals don't
matter, since people leave them out. A middle name does: it may be somebody else's.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from pipeline.lookup.names.vocabulary import SUFFIXES, TITLES
from pipeline.lookup.names.words import read_words
from pipeline.mail.address.syntax import Address, normalise_domain, parse_address

_ACCENTS = frozenset(map(chr, range(0x300, 0x370)))
"""Combining marks. With letters of other scripts they make another letter, such as й of и."""
_NUMBER = re.compile(r"\d++(?!(?:st|nd|rd|th)\b)", re.IGNORECASE)
"""No part of a name, but what tells `Reception 1` from `Reception 2`."""
_AFFIXES = TITLES | SUFFIXES


def same_contact(fields: Mapping[str, str], *, by_address: bool = False) -> str:
    """`same_contact_in` for fields by name."""
    given = (fields.get(name, "") for name in ("first_name", "last_name", "full_name", "company", "domain", "email"))
    return same_contact_in(*given, by_address=by_address)


def same_contact_in(
    first_name: str, last_name: str, full_name: str, company: str, domain: str, email: str, *, by_address: bool = False
) -> str:
    """Return what is equal for contacts that are worked once: those of a person, or `by_address` those of an address.

    Somebody who brings an address is another contact than the same person without one: that address is to be verified.
    """
    address = _address_in(email) if email else ""
    if by_address and address:
        return address
    words = same_words(first_name, last_name, full_name) or _in_one_spelling(full_name)
    return f"{words}\x1f{address}\x1f{'' if email else _company(domain, company)}"


@lru_cache(1 << 14)
def domain_in(text: str) -> str | None:
    """`normalise_domain`, for texts of which many are the same."""
    return normalise_domain(text)


def _address_in(email: str) -> str:
    address = parse_address(email)
    return _in_one_spelling(str(address) if isinstance(address, Address) else email)


def _company(domain: str, company: str) -> str:
    return (domain_in(domain) or _in_one_spelling(domain)) if domain else _in_one_spelling(company)


def _in_one_spelling(text: str) -> str:
    return " ".join(text.split()).casefold()


def same_words(first_name: str, last_name: str, full_name: str) -> str:
    """Return what is equal for all spellings of a person's name; "" if there are no letters in it."""
    if first_name.isascii() and first_name.isalpha() and last_name.isascii() and last_name.isalpha():
        # Most people; this is called for each row of large files.
        one, other = first_name.lower(), last_name.lower()
        if one not in _AFFIXES and other not in _AFFIXES:
            return f"{one} {other}" if one <= other else f"{other} {one}"
    first, last = _words(first_name), _words(last_name)
    words = [*first, *last] if first and last else _words(full_name) or first or last
    return " ".join(sorted(words))


@lru_cache(1 << 14)
def _words(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    words = read_words(text)
    numbers = _NUMBER.findall(text)
    return (*numbers, *(part for word in (*words.main, *words.after_comma) for part in _plain(word).split("-") if part))


def _plain(word: str) -> str:
    """A word without capitals and accents. Letters of other alphabets stay: their sounds alone are not the name."""
    if word.isascii():
        return word.lower()
    kept: list[str] = []
    for letter in unicodedata.normalize("NFKD", word.casefold()):
        if not (letter in _ACCENTS and kept and kept[-1].isascii()):
            kept.append(letter)
    return "".join(kept)
