"""Reads server-sent events from bytes as they arrive (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from growth_client.shapes import Maybe, Shape, fits, fits_header, parsed

MOST_CHARS = 16_000_000
"""An event beyond this is not one of the engine's."""

SHAPES: Mapping[str, Shape] = {"state": dict, "timeline": dict, "end": dict, "refused": {"detail": Maybe(str)}}
"""What the data of an event is, by its kind."""

LONGEST_ID = 1_000
"""Ids go back in a header, which takes neither longer ones nor other characters; the engine has numbers."""


class NoEvents(Exception):
    """Raised when what comes is no stream of events."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event: `state`, `timeline`, `end` or `refused`. `id` is what resumes after it."""

    kind: str
    data: Any
    id: str = ""


class EventReader:
    """Makes events of bytes. `last_id` and `retry_s` are the last that the stream stated."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id, self.retry_s = last_id, 0.0
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._held: list[str] = []
        self._kind, self._data, self._size = "", list[str](), 0

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events that these bytes complete. Raises `NoEvents`."""
        lines = self._lines(self._decoder.decode(piece))
        if self._size > MOST_CHARS:
            raise NoEvents("an event is too long")
        for line in lines:
            if line:
                self._field(line)
            elif event := self._finish():
                yield event

    def _lines(self, text: str) -> list[str]:
        """The lines that a text completes. What begins a line is held, in pieces: a line may be long."""
        self._held.append(text)
        self._size += len(text)
        if "\n" not in text and "\r" not in "".join(self._held[-2:]):
            return []
        whole = "".join(self._held)
        # The last \r may be half of \r\n.
        half = "\r" if whole.endswith("\r") else ""
        *lines, rest = whole.removesuffix(half).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._held = [rest + half]
        return lines

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and fits_header(value) and len(value) <= LONGEST_ID:
            self.last_id = value
        elif name == "retry" and value.isascii() and value.isdecimal():
            self.retry_s = min(float(value) / 1000, 60.0)

    def _finish(self) -> Event | None:
        kind, data = self._kind or "message", "\n".join(self._data)
        has_data, self._kind, self._data, self._size = bool(self._data), "", [], 0
        if not has_data:
            return None
        try:
            event = Event(kind, parsed(data), self.last_id)
        except ValueError:
            raise NoEvents("the data of an event is not JSON") from None
        if not fits(event.data, SHAPES.get(kind, object)):
            raise NoEvents("the data of an event is not what its kind has")
        return event
