"""Parses JSON piece by piece, so that no body blocks other requests or fills the memory.

A parser that parses a body of 64 MB at once holds the interpreter for seconds and needs twenty times its size in
memory. Here Python walks through the objects around one long list, and C parses their values in pieces of bounded
size; other requests proceed between two pieces. Each item of the list is validated as soon as it is parsed.
"""

import codecs
import re
from collections.abc import Callable, Sequence
from json import JSONDecodeError, JSONDecoder
from typing import Any

from models.bounds import COLUMNS_OF_CONTACT, CONTACT_CHARS, DEPTH, DIGITS, FIELDS, VALUES, shown
from pipeline.errors import InvalidInput

PIECE_BYTES = 256 * 1024
_LONGEST_LITERAL = 16
"""An error, or the end of a value, this close to the end of a piece may be due to the text that follows it."""

SHORT_CHARS = 2048
"""Characters of the first piece of a value: nearly all contacts are shorter."""

_MAX_SIGNS = 2 * (VALUES.most + COLUMNS_OF_CONTACT.most)
"""More commas and opening brackets than a contact within its bounds has."""

_TEXTS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
"""Strings in JSON, including one that is cut off at the end."""

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = JSONDecoder()

Convert = Callable[[int, Any], Any]


class NotJson(Exception):
    """Raised when a body is not JSON. The text says where and why."""


def read_json(body: bytes, path: Sequence[str], noun: str, convert: Convert) -> Any:
    """Parse a body, with each item of the list at `path` replaced by `convert(index, item)`.

    `noun` names an item in messages. Raises `NotJson`, and `InvalidInput` as soon as a bound is exceeded.
    """
    return _Reader(body, noun, convert).whole(path)


class _Reader:
    def __init__(self, body: bytes, noun: str, convert: Convert) -> None:
        self._body = body
        self._noun = noun
        self._read_bytes = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._passed = 0
        self._convert = convert
        self._place = ""

    def whole(self, path: Sequence[str]) -> Any:
        value = self._around(path)
        if self._peek():
            raise self._not_json("there is more text after its end")
        return value

    def _around(self, path: Sequence[str]) -> Any:
        if not path:
            return self._items()
        if self._peek() != "{":
            return self._value()
        fields: dict[str, Any] = {}
        while not self._ends("{", "}", is_first=not fields):
            name = self._name()
            if name in fields or len(fields) >= FIELDS.most:
                raise InvalidInput(
                    f"field {shown(name)}: it is given twice, or there are more than {FIELDS.most} fields"
                )
            fields[name] = self._around(path[1:]) if name == path[0] else self._value()
        return fields

    def _items(self) -> Any:
        if self._peek() != "[":
            return self._value()
        items: list[Any] = []
        while not self._ends("[", "]", is_first=not items):
            self._place = f"{self._noun} {len(items) + 1}"
            items.append(self._convert(len(items), self._value()))
        self._place = ""
        return items

    def _name(self) -> str:
        if self._peek() != '"':
            raise self._not_json("a name in quotes is expected")
        name = str(self._value())
        self._pass(":")
        return name

    def _ends(self, opens: str, closes: str, *, is_first: bool) -> bool:
        """Skip the opening bracket or the comma before an item; true if the closing bracket comes instead."""
        if is_first:
            self._pass(opens)
        if self._peek() == closes:
            self._at += 1
            return True
        if not is_first:
            self._pass(",")
        return False

    def _pass(self, expected: str) -> None:
        if self._peek() != expected:
            raise self._not_json(f"'{expected}' is expected")
        self._at += 1

    def _peek(self) -> str:
        """The next character other than white space; empty at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def _fill(self) -> bool:
        if self._read_bytes == len(self._body):
            return False
        piece = self._body[self._read_bytes : self._read_bytes + PIECE_BYTES]
        self._read_bytes += len(piece)
        try:
            decoded = self._decoder.decode(piece, self._read_bytes == len(self._body))
        except UnicodeDecodeError as error:
            raise self._not_json("it is not UTF-8") from error
        self._passed += self._at
        self._text, self._at = self._text[self._at :] + decoded, 0
        return True

    def _value(self) -> Any:
        """Parse one value. The piece that is parsed grows until it holds the value, unless it has too many values."""
        self._peek()
        size = SHORT_CHARS
        while True:
            piece = self._ahead(size)
            is_all = len(piece) < size
            why, is_certain = "", is_all
            try:
                value, end = _DECODER.raw_decode(piece)
                # A number that is cut off at the end of the piece parses as a shorter one.
                if is_all or end < len(piece) - _LONGEST_LITERAL:
                    self._at += end
                    return value
            except JSONDecodeError as error:
                why, is_certain = error.msg, is_all or _is_certain(error, piece)
            except RecursionError as error:
                raise self._too_deep() from error
            except ValueError as error:
                raise self._refused(f"a number has more than {DIGITS.most} digits") from error
            if is_certain:
                raise self._not_json(why)
            size = self._larger(piece)

    def _ahead(self, chars: int) -> str:
        while len(self._text) - self._at < chars and self._fill():
            pass
        return self._text[self._at : self._at + chars]

    def _larger(self, piece: str) -> int:
        """The size of the next piece, if all of this one belongs to one value. Many values take long, not much text."""
        if len(piece) > CONTACT_CHARS.most:
            raise self._refused(f"its JSON has more than {CONTACT_CHARS.most} characters")
        outside = _TEXTS.sub("", piece)
        if sum(map(outside.count, ",[{")) > _MAX_SIGNS:
            raise self._refused(f"more than {VALUES.most} values within lists and objects")
        return min(4 * len(piece), CONTACT_CHARS.most + 1)

    def _too_deep(self) -> Exception:
        too_deep = f"more than {DEPTH.most} lists and objects within each other"
        return self._refused(too_deep) if self._place else self._not_json(too_deep)

    def _refused(self, why: str) -> InvalidInput:
        return InvalidInput(f"{self._place or 'the body'}: {why}: send less")

    def _not_json(self, why: str) -> NotJson:
        return NotJson(f"{why}, near character {self._passed + self._at + 1}")


def _is_certain(error: JSONDecodeError, piece: str) -> bool:
    """Whether an error is one, and not due to the end of the piece."""
    return error.pos < len(piece) - _LONGEST_LITERAL and not error.msg.startswith("Unterminated")
