"""Extracts the words of a name from what was typed into a name field."""

import html
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from anyascii import anyascii

from pipeline.lookup.names import kana
from pipeline.lookup.names.vocabulary import FACULTIES, FAMILY_MARKERS, ROLES, SUFFIXES, TITLES

LONGEST = 200
"""Characters of a field that are read; no name is longer."""
MOST_WORDS = 8
BEHIND_TOO = {"dr", "prof", "professor"}
"""Titles that may stand behind a name as well."""

_TAG = re.compile(r"<[^<>]*>")
_ADDRESS = re.compile(r"(?<!\S)\S[^\s@]*+@\S++|https?:\S++|www\.\S++")
_ASIDE = re.compile(
    r"\(([^()]*)\)|\[([^\[\]]*)\]|\"([^\"]*)\"|“([^“”]*)”|„([^„“”]*)[“”]|«([^«»]*)»|(?:^|\s)'([^']+)'(?=\s|$)"
)
_DEGREE = re.compile(r"\b(?:Ph\.? ?D|[MB]\. ?(?:Sc|Eng|Ed|Tech|Com|Phil)|Dott\.ssa|Dipl\.?-\w+)\b\.?", re.IGNORECASE)
_DOTTED_DEGREE = re.compile(
    r"(?<![\s,])[\s,]++(?:LL\. ?[BDM]|[MJ]\. ?D|D\. ?D\. ?S|M\. ?B\. ?A|R\. ?N|[BM]\. ?[AS])\b\.?(?=[\s,]*+$|\s*+,)",
    re.IGNORECASE,
)
"""Those that could be initials elsewhere: they count at the end only."""
_ORDINAL = re.compile(r"\b\d+(?:st|nd|rd|th)\b", re.IGNORECASE)
_PRONOUNS = re.compile(r"\b(?:she|he|they)\s?/\s?(?:her|him|them)s?(?:\s?/\s?\w+)?\b", re.IGNORECASE)
_MARKS = str.maketrans("", "", "™®©℠")
_HONORARY = re.compile(r"\bh\. ?c\.", re.IGNORECASE)
_AFTER_DASH = re.compile(r"(?<=\w\s)[-–—|/•]\s.*+$", re.DOTALL)
_APOSTROPHES = re.compile(r"['’`´ʼ‘ʻ\u05f3\u05f4]")
_CLITIC = re.compile(r"(?<!\S)['’`´ʼ‘]([ts])\s+(?=[^\W\d_])", re.IGNORECASE)
"""Dutch articles, which addresses join to the name: 't Hooft is thooft."""
_SERVANT_OF = re.compile(r"\bعبد\s+(?=ال)")
"""The first part of Arabic names that are one word in Latin letters: Abdullah, Abdulrahman."""
_RUN_TOGETHER = re.compile(r"(?<=[^\W\d_]{2}\.)(?=[^\W\d_])|(?<=\b[^\W\d_]\.)(?=[^\W\d_])")
"""The places where a space is missing: "S.P.Balan", "Dr.Hopper"."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a name as written, and those in brackets or quotes."""

    main: Sequence[str]
    after_comma: Sequence[str] = ()
    called: Sequence[str] = ()
    formerly: Sequence[str] = ()


def read_words(text: str) -> Words:
    """Return the words of a name without titles, suffixes, addresses, markup, emoji and digits."""
    if text.isascii() and text.replace(" ", "").isalpha():
        return Words(_stripped(text[:LONGEST].split()))
    text = unicodedata.normalize("NFKC", _TAG.sub(" ", html.unescape(text[:LONGEST])).translate(_MARKS))[:LONGEST]
    text = _HONORARY.sub("hc", _PRONOUNS.sub(" ", _ORDINAL.sub(" ", text)))
    text = _SERVANT_OF.sub("عبد", _CLITIC.sub(r"\1", _ADDRESS.sub(" ", text)))
    called: list[str] = []
    formerly: list[str] = []
    for aside in _ASIDE.findall(text):
        words = _split("".join(aside))
        if words and words[0].lower() in FAMILY_MARKERS:
            formerly = words[1:]
        elif len(words) == 1 and len(words[0]) > 1:
            called = words
    before, _, after = _without_degrees(_DEGREE.sub(" ", _ASIDE.sub(" ", text))).partition(",")
    before = _without_employer(before)
    main, rest = _stripped(_split(before)), _stripped(_split(after))
    if len(main) > 1 and rest and _is_no_name(rest):
        rest = []
    for index, word in enumerate(main):
        if index and index < len(main) - 1 and word.lower() in FAMILY_MARKERS:
            main, formerly = main[:index], main[index + 1 :]
            break
    return Words(main, rest, called, formerly) if main else Words(rest, (), called, formerly)


def _without_degrees(text: str) -> str:
    """Drop degrees at the end that could be initials, if two words of a name stand before them."""
    shorter = _DOTTED_DEGREE.sub(" ", text)
    return shorter if len(_split(shorter.partition(",")[0])) > 1 else text


def _is_no_name(words: Sequence[str]) -> bool:
    """Whether what stands behind a comma is degrees, or what somebody does."""
    keys = list(map(key, words))
    return keys[0] in SUFFIXES or any(each in ROLES for each in keys) or all(each in TITLES | SUFFIXES for each in keys)


def _without_employer(text: str) -> str:
    """Cut off the employer of "Grace Hopper - ACME Inc.", but keep all of "Hopper - Grace"."""
    short = _AFTER_DASH.sub("", text)
    return short if len(short.split()) > 1 else text


def key(word: str) -> str:
    """Return a word in the letters a to z, as the lists have it."""
    lower = word.lower()
    if lower.isascii():
        return lower
    return kana.short(lower) if kana.is_kana(lower) else anyascii(lower).lower()


def _split(text: str) -> list[str]:
    text = _RUN_TOGETHER.sub(" ", _APOSTROPHES.sub("", text).replace("·", " ").replace("・", " "))
    kept = "".join(letter if letter == "-" or _belongs_to_a_word(letter) else " " for letter in text)
    pieces = (piece.strip("-") for piece in kept.split())
    return [piece for piece in pieces if any("a" <= letter <= "z" for letter in key(piece))][:MOST_WORDS]


def _belongs_to_a_word(character: str) -> bool:
    return character.isalpha() or unicodedata.category(character).startswith("M")


def _stripped(words: Sequence[str]) -> list[str]:
    """Drop titles at the beginning and suffixes at the end, but never all words."""
    rest = list(words)
    while len(rest) > 1 and key(rest[0]) in TITLES:
        is_doctor = key(rest[0]) == "dr"
        del rest[0]
        while is_doctor and len(rest) > 1 and key(rest[0]) in FACULTIES:
            del rest[0]
    while len(rest) > 1 and (key(rest[-1]) in SUFFIXES or (len(rest) > 2 and key(rest[-1]) in BEHIND_TOO)):
        del rest[-1]
    return [] if len(rest) == 1 and key(rest[0]) in TITLES | SUFFIXES else rest
