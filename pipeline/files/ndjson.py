"""Reads NDJSON: a JSON object on each line. Its columns are the names that occur in any of them."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TextIO

from pipeline.errors import UnusableFile
from pipeline.files.rows import MAX_ROW_CHARS, NOT_TEXT, TOO_LONG, Row

MAX_COLUMNS = 1_000
MOST_DEPTH = 3
"""Objects within each other that are taken apart into columns; deeper ones stay JSON."""
NO_OBJECT = "it is not a JSON object: write one on each line"
_decode = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str).decode
"""Numbers stay as they are written: a long one would lose digits."""

Text = Callable[[], AbstractContextManager[TextIO]]


def is_ndjson(sample: str) -> bool:
    """Whether a text begins with a JSON object on a line of its own."""
    first = next((line for line in sample.lstrip("\ufeff").splitlines() if line.strip()), "")
    return isinstance(_object(first) if len(first) < len(sample) or first.rstrip().endswith("}") else None, dict)


def read_header(open_text: Text, name: str) -> list[str]:
    """The names of all objects, in the order in which they occur. Raises `UnusableFile` if there are too many."""
    names: dict[str, None] = {}
    for _, line in _lines(open_text):
        names |= dict.fromkeys(_flat(_object(line) or {}))
        if len(names) > MAX_COLUMNS:
            raise UnusableFile(f"{name} has more than {MAX_COLUMNS:,} different columns: leave some out.")
    return list(names)


def read_objects(open_text: Text, header: list[str]) -> Iterator[Row]:
    """Yield a row for each line, in the order of the header. The first line is row 1."""
    for number, line in _lines(open_text):
        if len(line) >= MAX_ROW_CHARS:
            yield Row(number, [line[:200]], TOO_LONG)
        elif not line.strip():
            yield Row(number, [""] * len(header))
        elif (found := _object(line)) is None:
            yield Row(number, [line[:200].strip()], NO_OBJECT)
        else:
            values = _flat(found)
            yield Row(number, [cell(values.get(name)) for name in header], NOT_TEXT if "\ufffd" in line else "")


def cell(value: Any) -> str:
    """A JSON value as a cell: text as it is, null as nothing, lists and objects in their JSON form."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _flat(found: dict[str, Any], above: str = "", depth: int = 0) -> dict[str, Any]:
    """An object whose objects are taken apart: `{"company": {"name": …}}` has a column `company.name`."""
    if not any(isinstance(value, dict) for value in found.values()) and not above:
        return found
    flat: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, dict) and value and depth < MOST_DEPTH:
            flat |= _flat(value, f"{above}{name}.", depth + 1)
        else:
            flat[above + name] = value
    return flat


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = _decode(line.strip().lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _lines(open_text: Text) -> Iterator[tuple[int, str]]:
    with open_text() as text:
        number = 0
        while line := text.readline(MAX_ROW_CHARS):
            number += 1
            yield number, line
            while len(line) >= MAX_ROW_CHARS and line[-1] not in "\r\n":
                line = text.readline(MAX_ROW_CHARS) or "\n"
