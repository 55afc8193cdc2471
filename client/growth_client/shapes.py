"""Reads JSON that comes from outside, and checks that it has the shape that is relied on."""

import json
from dataclasses import dataclass
from typing import Any

Shape = Any
"""A type; a list of one shape, for lists of it; a dictionary, for objects that have at least these keys; or `Maybe`."""

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Maybe:
    """What an object may leave out, or have as null."""

    shape: Shape


def parsed(text: str | bytes) -> Any:
    """The value that JSON states. Raises `ValueError`, also for what is too deep to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("too many lists and objects within each other") from None


def fits_header(value: str) -> bool:
    """Whether it can be the value of a header (RFC 9110, 5.5), as far as a client has to send such."""
    return value.isascii() and value.isprintable() and value == value.strip()


def fits(value: Any, shape: Shape) -> bool:
    """Whether a value has a shape."""
    if isinstance(shape, Maybe):
        return value is _MISSING or value is None or fits(value, shape.shape)
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(fits(value.get(key, _MISSING), inner) for key, inner in shape.items())
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(each, shape[0]) for each in value)
    return isinstance(value, shape)
