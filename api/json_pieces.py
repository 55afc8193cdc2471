"""Reading JSON piece by piece, so that no body stops others or fills the memory, whatever is in it.

A parser that takes a body of 64 MB at once holds the interpreter for seconds and builds twenty times as much. Here the
objects around one long list are walked in Python, and what stands in them is parsed in C, one bounded piece at a time:
between two pieces other requests go on. An item of the list is validated as soon as it is read, and then let go.
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
"""An error, or an end, this close to the end of what is there may be due to what is not there yet."""

SHORT_CHARS = 2048
"""Nearly all contacts are shorter."""

_MOST_SIGNS = 2 * (VALUES.most + COLUMNS_OF_CONTACT.most)
"""Commas and opening brackets of a contact that has as many values as it may, and more."""

_TEXTS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
"""Texts in JSON, also the one that is cut off."""

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = JSONDecoder()

Convert = Callable[[int, Any], Any]


class NotJson(Exception):
    """Raised when a body is not JSON; the text says where and why."""


def read_json(body: bytes, path: Sequence[str], noun: str, convert: Convert) -> Any:
    """What a body says, with each item of the list at `path` replaced by what `convert(index, item)` makes of it.

    `noun` is what an item is called. Raises `NotJson`, and `InvalidInput` when a bound is passed: what follows is not
    read then.
    """
    return _Reader(body, noun, convert).whole(path)


class _Reader:
    def __init__(self, body: bytes, noun: str, convert: Convert) -> None:
        self._body = body
        self._noun = noun
        self._taken = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._passed = 0
        self._convert = convert
        self._place = ""

    def whole(self, path: Sequence[str]) -> Any:
        value = self._around(path)
        if self._peek():
            raise self._not_json("there is more behind its end")
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
                raise InvalidInput(f"field {shown(name)}: it is there twice, or one of more than {FIELDS.most}")
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
        """Pass what stands before an item: the opening bracket or a comma. True when it is the closing one instead."""
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
        """The next character that is no white space; none at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def _fill(self) -> bool:
        if self._taken == len(self._body):
            return False
        piece = self._body[self._taken : self._taken + PIECE_BYTES]
        self._taken += len(piece)
        try:
            decoded = self._decoder.decode(piece, self._taken == len(self._body))
        except UnicodeDecodeError as error:
            raise self._not_json("it is not UTF-8") from error
        self._passed += self._at
        self._text, self._at = self._text[self._at :] + decoded, 0
        return True

    def _value(self) -> Any:
        """One value, parsed at once: it is short, or grows while it holds few values, or is refused."""
        self._peek()
        size = SHORT_CHARS
        while True:
            piece = self._ahead(size)
            is_all = len(piece) < size
            why, is_certain = "", is_all
            try:
                value, end = _DECODER.raw_decode(piece)
                # A number that is cut off reads as a shorter one.
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
        """How much to look at next, when all of this belongs to one value. What takes long is not text but values."""
        if len(piece) > CONTACT_CHARS.most:
            raise self._refused(f"its JSON has more than {CONTACT_CHARS.most} characters")
        outside = _TEXTS.sub("", piece)
        if sum(map(outside.count, ",[{")) > _MOST_SIGNS:
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
    """Whether an error is one, and not the end of what was looked at."""
    return error.pos < len(piece) - _LONGEST_LITERAL and not error.msg.startswith("Unterminated")
