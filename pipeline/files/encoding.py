"""Finds out the encoding of a text file.

A byte order mark or valid UTF-8 decides. Otherwise `charset-normalizer` says which of the known code pages are
possible, and the letters that come out say which one is right (`letters`). If two give different names that people may
have, the file is refused: an address that is made of a misread name is somebody else's, or nobody's.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from pipeline.errors import UnusableFile
from pipeline.files.letters import strangeness
from pipeline.files.source import BLOCK, Source

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
CODE_PAGES = {
    "cp1252": "Windows-1252 (Latin-1)",
    "mac_roman": "Mac Roman",
    "cp1250": "Windows-1250",
    "cp1251": "Windows-1251",
    "koi8_r": "KOI8-R",
    "cp932": "Shift-JIS",
    "gb18030": "GBK",
    "big5": "Big5",
}
"""What each is called, the likeliest first; of two that give the same text the first is taken."""
NAMES = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
MOST_WITHOUT_LINE_END = 32 << 20
SAMPLE_BYTES = 1 << 16
SAMPLE_WORDS = 500
POSSIBLE = 0.5
"""How much mess `charset-normalizer` may see in a sample before a code page is no longer possible."""
CLEAR_LEAD = 0.5
PLAUSIBLE = 2.0
"""Strangeness of a word, on average, from which on a text is misread or is no list of names."""
_WORD = re.compile(r"(?:[^\W\d_]|[^\x00-\x7f])+")
_LINE_ENDS = re.compile(rb"[\r\n]+")


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding, as Python calls it, and a notice for the user where it was guessed."""

    name: str
    notice: str = ""

    @property
    def title(self) -> str:
        return NAMES.get(self.name) or CODE_PAGES.get(self.name, self.name)


def find_encoding(source: Source) -> Encoding:
    """Find out the encoding of a text file. Raises `UnusableFile`."""
    with source.open() as file:
        start = file.read(BLOCK)
    if marked := next((name for mark, name in MARKS.items() if start.startswith(mark)), None):
        return Encoding(marked)
    if wide := _utf_16_without_mark(start):
        return Encoding(wide)
    valid, is_cut_off = _read_as_utf_8(source)
    if is_cut_off:
        return Encoding("utf-8", _damaged(source.name))
    return Encoding("utf-8") if valid else _guess(source)


def named_encoding(name: str) -> Encoding:
    """The encoding that the user names. Raises `UnusableFile` if there is none of that name."""
    try:
        found = codecs.lookup(name)
    except LookupError:
        found = None
    if found is None or not found._is_text_encoding:  # noqa: SLF001 - `hex` is a codec, too
        known = ", ".join(["utf-8", "utf-16", *CODE_PAGES])
        raise UnusableFile(f"There is no encoding {name!r}: give one such as {known}.")
    return Encoding("utf-8-sig" if found.name == "utf-8" else found.name)


def _utf_16_without_mark(start: bytes) -> str | None:
    """In UTF-16 the delimiters and line ends have a zero byte each, all on the same side."""
    even, odd = start[::2].count(0), start[1::2].count(0)
    zeros, name = (odd, "utf-16-le") if odd > even else (even, "utf-16-be")
    if not zeros or min(even, odd) * 20 > zeros:
        return None
    try:
        text = start[: len(start) // 2 * 2].decode(name)
    except UnicodeDecodeError:
        return None
    return name if "\0" not in text and any(end in text for end in "\r\n,;\t") else None


def _read_as_utf_8(source: Source) -> tuple[bool, bool]:
    """Whether a file is UTF-8, and whether it is but for its very end, which is within a letter."""
    decoder, is_valid, has_letters = codecs.getincrementaldecoder("utf-8")(), True, False
    with source.open() as file:
        for block in _checked_blocks(file, source.name):
            try:
                has_letters |= is_valid and not decoder.decode(block).isascii()
            except UnicodeDecodeError:
                is_valid = False
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        # Without letters before, it may as well be the last letter of another encoding.
        return False, is_valid and has_letters
    return is_valid, False


def _damaged(name: str) -> str:
    return f"{name} is UTF-8 with damaged characters in it: those rows are left out."


def _checked_blocks(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the file's blocks; refuse one that is no text, or has no line ends."""
    without_end = 0
    for block in iter(lambda: file.read(BLOCK), b""):
        if b"\0" in block:
            raise UnusableFile(
                f"{name} is not a text file, or is in an encoding that can't be told: save it as CSV in UTF-8."
            )
        last = max(block.rfind(b"\n"), block.rfind(b"\r"))
        without_end = without_end + len(block) if last < 0 else len(block) - last
        if without_end > MOST_WITHOUT_LINE_END:
            raise UnusableFile(f"{name} has a line of more than {MOST_WITHOUT_LINE_END >> 20} MB: it is no table.")
        yield block


def _guess(source: Source) -> Encoding:
    sample = b"\n".join(_lines_beyond_ascii(source))
    if _is_nearly_utf_8(sample):
        return Encoding("utf-8", _damaged(source.name))
    readings = _readings(sample)
    strange = {name: sum(strangeness(word, name) for word in words) for name, words in readings.items()}
    ranked = sorted(readings, key=lambda name: strange[name])
    if not ranked or strange[ranked[0]] > PLAUSIBLE * len(readings[ranked[0]]):
        raise UnusableFile(
            f"{source.name} is not UTF-8, and in no usual encoding its names look like names: save it as UTF-8, "
            "or name its encoding with --encoding."
        )
    best = ranked[0]
    for other in ranked[1:]:
        if strange[other] - strange[best] < CLEAR_LEAD and readings[other] != readings[best]:
            raise UnusableFile(_ambiguous(source.name, readings, best, other))
    notice = f"{source.name} is not UTF-8; it was read as {CODE_PAGES[best]}. Check that accented names look right."
    return Encoding(best, notice)


def _lines_beyond_ascii(source: Source) -> list[bytes]:
    lines: list[bytes] = []
    size = 0
    with source.open() as file:
        for block in iter(lambda: file.read(BLOCK), b""):
            # A block may begin or end within a character: its first and last line are left out if there are others.
            found = [line for line in _LINE_ENDS.split(block) if not line.isascii()]
            whole = found[1:-1] if len(found) > 2 and len(block) == BLOCK else found
            for line in whole:
                lines.append(line[:2000])
                size += len(lines[-1])
                if size > SAMPLE_BYTES:
                    return lines
    return lines


def _is_nearly_utf_8(sample: bytes) -> bool:
    text = sample.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    return sum(not char.isascii() for char in text) > 10 * damaged


def _readings(sample: bytes) -> dict[str, list[str]]:
    """The words beyond ASCII, as each possible code page reads them."""
    from charset_normalizer import from_bytes  # Few files need it, and processes that read none.

    possible = {match.encoding for match in from_bytes(sample, cp_isolation=[*CODE_PAGES], threshold=POSSIBLE)}
    words = {name: _words(sample, name) for name in CODE_PAGES if name in possible or len(sample) < SAMPLE_BYTES}
    return {name: found for name, found in words.items() if found}


def _words(sample: bytes, encoding: str) -> list[str]:
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return []
    words = dict.fromkeys(word for word in _WORD.findall(text) if not word.isascii())
    return list(islice(words, SAMPLE_WORDS))


def _ambiguous(name: str, readings: dict[str, list[str]], best: str, other: str) -> str:
    first, second = next(
        (pair for pair in zip(readings[best], readings[other], strict=False) if pair[0] != pair[1]),
        (readings[best][0], readings[other][0]),
    )
    return (
        f"{name} is not UTF-8, and two encodings are plausible: {CODE_PAGES[best]} ({first}) and {CODE_PAGES[other]} "
        f"({second}). Say which is right: --encoding {best} or --encoding {other}."
    )
