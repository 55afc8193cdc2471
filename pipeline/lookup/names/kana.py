"""Transliterates Japanese names in kana: modified Hepburn as in passports, with the spellings of long vowels."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from pipeline.lookup.names.vocabulary import SURNAMES

_ROWS: Mapping[str, str] = {
    "": "あいうえお", "k": "かきくけこ", "g": "がぎぐげご", "s": "さ す せそ", "z": "ざ ずぜぞ", "t": "た  てと",
    "d": "だ  でど", "n": "なにぬねの", "h": "はひ へほ", "b": "ばびぶべぼ", "p": "ぱぴぷぺぽ", "m": "まみむめも",
    "y": "や ゆ よ", "r": "らりるれろ", "w": "わ   を", "v": "  ゔ  ",
}  # fmt: skip
_SINGLE = {
    **{kana: row + vowel for row, line in _ROWS.items() for kana, vowel in zip(line, "aiueo", strict=False)},
    "し": "shi", "じ": "ji", "ち": "chi", "ぢ": "ji", "つ": "tsu", "づ": "zu", "ふ": "fu", "せ": "se", "そ": "so",
    "ん": "n", "を": "o",
}  # fmt: skip
_SMALL = {"ゃ": "a", "ゅ": "u", "ょ": "o"}
_LONG = re.compile("ou|oo|uu")


def is_kana(word: str) -> bool:
    """Whether a word is written in hiragana or katakana alone."""
    return bool(word) and all("\u3041" <= letter <= "\u3096" or "\u30a1" <= letter <= "\u30fc" for letter in word)


def as_typed(word: str) -> str:
    """Transliterate kana letter by letter: さとう is satou."""
    text = unicodedata.normalize("NFKC", word)
    letters = "".join(chr(ord(each) - 0x60) if "\u30a1" <= each <= "\u30f6" else each for each in text)
    read = ""
    for here, after in zip(letters, [*letters[1:], ""], strict=True):
        if here in _SMALL:
            read = _contracted(read, _SMALL[here])
        elif here == "っ":
            following = _SINGLE.get(after, "")
            read += "t" if following.startswith("ch") else following[:1]
        elif here == "ー":
            read += read[-1:]
        else:
            read += _SINGLE.get(here, "")
    return read


def short(word: str) -> str:
    """Transliterate kana with short vowels: さとう is sato. いのうえ stays inoue: its o and u belong to two words."""
    typed = as_typed(word)
    return typed if typed in SURNAMES["japanese"] else _LONG.sub(lambda vowels: vowels[0][0], typed)


def with_h(word: str) -> str:
    """Transliterate kana with a long o as oh, before a consonant or at the end of the word: ohno, satoh."""
    typed = as_typed(word)
    if typed in SURNAMES["japanese"]:
        return typed
    return _LONG.sub(lambda vowels: "oh" if vowels[0][0] == "o" else "u", typed)


def _contracted(read: str, vowel: str) -> str:
    """Contract two kana: きょ is kyo, しょ is sho, じょ is jo."""
    stem = read[:-1]
    return stem + vowel if stem.endswith(("sh", "ch", "j")) else f"{stem}y{vowel}"


def family_first(words: Sequence[str]) -> tuple[str, str] | None:
    """Return the family and the given name of さとう たろう: names in hiragana have this order.

    Katakana alone may be a foreigner's name, which keeps its own order.
    """
    in_hiragana = any("\u3041" <= word[0] <= "\u3096" for word in words)
    return (words[0], words[1]) if len(words) == 2 and in_hiragana and all(map(is_kana, words)) else None
