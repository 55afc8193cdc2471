"""Tells whether two names are one person's: the same words, in whatever fields and order, without titles and degrees.

Accents and capitals don't matter, since people leave them out. A middle name does: it may be somebody else's.
"""

import unicodedata
from functools import lru_cache

from pipeline.lookup.names.words import read_words


def same_words(first_name: str, last_name: str, full_name: str) -> str:
    """Return what is equal for all spellings of a person's name; "" if there are no letters in it."""
    first, last = _words(first_name), _words(last_name)
    words = [*first, *last] if first and last else _words(full_name) or first or last
    return " ".join(sorted(words))


@lru_cache(1 << 16)
def _words(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    words = read_words(text)
    return tuple(part for word in (*words.main, *words.after_comma) for part in _plain(word).split("-") if part)


def _plain(word: str) -> str:
    """A word without capitals and accents. Letters of other alphabets stay: their sounds alone are not the name."""
    if word.isascii():
        return word.lower()
    apart = unicodedata.normalize("NFKD", word.casefold())
    return unicodedata.normalize("NFC", "".join(letter for letter in apart if letter not in _ACCENTS))


_ACCENTS = frozenset(map(chr, range(0x300, 0x370)))
"""Combining marks of Latin letters. Those of other scripts make another letter, such as й of и."""
