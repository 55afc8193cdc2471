"""The bounds of what a client sends. docs/reference/api.md shows them in the same words.

The models of `models.wire` and `models.privacy_wire` apply them, so that they hold for a plan that is created in
process as well as for a request. The client's own columns, which have no model, are measured here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bound:
    """The largest allowed number of something."""

    most: int
    of: str


NAME = Bound(200, "characters of `first_name`, `last_name`, `full_name`, `company`")
ADDRESS = Bound(320, "characters of `domain`, of `email`, of a suppression entry")
COLUMNS_OF_CONTACT = Bound(100, "further columns of one contact")
COLUMNS_OF_RUN = Bound(200, "different further columns of all contacts of a run together")
COLUMN_NAME = Bound(200, "characters of a further column's name")
COLUMN_CHARS = Bound(20_000, "characters of one contact's further columns, written as JSON")
DEPTH = Bound(20, "lists and objects within each other in a further column")
DIGITS = Bound(100, "digits of a whole number in a further column")
VALUES = Bound(1_000, "values within lists and objects in one contact's further columns")
CONTACT_CHARS = Bound(300_000, "characters of the JSON of one contact, white space included")
FIELDS = Bound(50, "fields of an object around the contacts")
PREVIEW_ROWS = Bound(100, "`preview_rows`")
IDEMPOTENCY_KEY = Bound(255, "characters of an `Idempotency-Key`, which are printable ASCII")
QUOTE_TOKEN = Bound(1_000, "characters of a `quote_token`")
ENTRIES = Bound(10_000, "entries of one request for the suppression list, or of one page of it")
RESULTS = Bound(1_000, "contacts of one page of results")
RUNS = Bound(500, "runs of one page of a list")
STATEMENT = Bound(1_000, "entries of one page of a statement")
HEADING = Bound(1_000, "characters of a heading in a `mapping`")
FILE_NAME = Bound(200, "characters of the name of an upload; longer ones are cut")
HOOKS = Bound(20, "hooks of an account, and of one run")
HOOK_URL = Bound(2_000, "characters of a hook's `url`")
HOOK_DESCRIPTION = Bound(200, "characters of a hook's `description`")
DELIVERIES = Bound(500, "deliveries of one page of a hook's log")
REPLAYS = Bound(1_000, "deliveries that one request replays")
PEOPLE = Bound(1_000, "people in one erasure")

BOUNDS = tuple(bound for bound in list(globals().values()) if isinstance(bound, Bound))

_SHOWN_CHARS = 40
_TOO_LONG_NUMBER: int = 10**DIGITS.most


def shown(name: str) -> str:
    """A client's name for something, fit for a sentence: short, and of visible characters only."""
    visible = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name[:_SHOWN_CHARS])
    return visible + ("…" if len(name) > _SHOWN_CHARS else "")


def check_columns(columns: Mapping[str, Any]) -> None:
    """Raise `ValueError`, which names column and bound, unless the columns can be stored and returned unchanged.

    The check stops at the first bound that is exceeded, so that it takes bounded time however large they are.
    """
    if len(columns) > COLUMNS_OF_CONTACT.most:
        raise ValueError(f"more than {COLUMNS_OF_CONTACT.most} further columns: send fewer")
    meter = _Meter(COLUMN_CHARS.most)
    meter.take(_frame(len(columns)))
    for name, value in columns.items():
        try:
            if len(name) > COLUMN_NAME.most:
                raise ValueError(f"a column's name has more than {COLUMN_NAME.most} characters: shorten it")
            meter.name(name)
            meter.value(value, 1)
        except ValueError as problem:
            raise ValueError(f"field {shown(name)}: {problem}") from None


class ColumnsOfRun:
    """The names of a run's further columns, collected contact by contact."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def add(self, contact: int, columns: Mapping[str, Any] | None) -> None:
        """Add those of a contact, counted from 1. Raises `ValueError` if there are too many now."""
        new = columns.keys() - self._names if columns else set()
        self._names |= new
        if len(self._names) > COLUMNS_OF_RUN.most:
            raise ValueError(
                f"contact {contact}: field {shown(min(new))}: the contacts of a run have more than "
                f"{COLUMNS_OF_RUN.most} different further columns together: send fewer"
            )


class _Meter:
    """Measures the length of values as JSON, without the characters that escaping adds."""

    def __init__(self, chars: int) -> None:
        self._left = chars
        self._values_left = VALUES.most

    def take(self, chars: int) -> None:
        self._left -= chars
        if self._left < 0:
            raise ValueError(f"more than {COLUMN_CHARS.most} characters in further columns: send less")

    def name(self, name: str) -> None:
        _check_text(name, "the name of a column")
        self.take(len(name) + 4)

    def value(self, value: Any, depth: int) -> None:
        if isinstance(value, str):
            self.take(len(value) + 2)
            _check_text(value, "a further column")
        elif value is None or isinstance(value, bool):
            self.take(4)
        elif isinstance(value, int):
            self._whole_number(value)
        elif isinstance(value, float):
            self._number(value)
        else:
            self._several(value, depth)

    def _whole_number(self, value: int) -> None:
        if not -_TOO_LONG_NUMBER < value < _TOO_LONG_NUMBER:
            raise ValueError(f"a number has more than {DIGITS.most} digits: send it as text")
        self.take(len(str(value)))

    def _number(self, value: float) -> None:
        if not math.isfinite(value):
            raise ValueError("NaN, Infinity and numbers beyond 1e308 are not JSON: leave them out, or send null")
        self.take(len(repr(value)))

    def _several(self, value: Any, depth: int) -> None:
        if not isinstance(value, dict | list | tuple):
            raise ValueError("a further column is no JSON value: send text, numbers, lists or objects")
        if depth > DEPTH.most:
            raise ValueError(f"more than {DEPTH.most} lists and objects within each other: send it flatter")
        self.take(_frame(len(value)))
        self._values_left -= len(value)
        if self._values_left < 0:
            raise ValueError(f"more than {VALUES.most} values within lists and objects: send fewer")
        for name in value if isinstance(value, dict) else ():
            if not isinstance(name, str):
                raise ValueError("the name of a value in a further column is no text: send text")
            self.name(name)
        for inner in value.values() if isinstance(value, dict) else value:
            self.value(inner, depth + 1)


def _frame(items: int) -> int:
    """The length of the brackets around so many items, and of the separators between them."""
    return 2 * max(items, 1)


def _check_text(text: str, where: str) -> None:
    if "\x00" in text:
        raise ValueError(f"{where} holds a NUL character: remove it")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{where} holds half a surrogate pair, which is no character: remove it") from None
