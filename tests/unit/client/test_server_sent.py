"""Events are read from bytes, however they are cut."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth_client.server_sent import MOST_CHARS, Event, EventReader, NoEvents

STREAM = (
    "﻿: a comment\r\nretry: 2000\r\n\r\n"
    'id: 7\nevent: timeline\ndata: {"kind":"created"}\n\n'
    'event: state\rdata: {"message":"Löse…"}\r\r'
    'event: state\ndata: {"a":\ndata:1}\nunknown: field\n\n'
    'id\ndata: 0\n\ndata: {"cut": tr'
)
EVENTS = [
    Event("timeline", {"kind": "created"}, "7"),
    Event("state", {"message": "Löse…"}, "7"),
    Event("state", {"a": 1}, "7"),
    Event("message", 0, ""),
]


@given(st.lists(st.integers(0, len(STREAM.encode()))))
def test_a_stream_gives_the_same_events_however_it_is_cut(places: list[int]) -> None:
    whole, reader = STREAM.encode(), EventReader()
    cuts = [0, *sorted(places), len(whole)]

    events = [event for start, end in pairwise(cuts) for event in reader.feed(whole[start:end])]

    assert events == EVENTS
    assert reader.retry_s == 2


def test_an_event_that_does_not_end_is_refused_before_it_fills_the_memory() -> None:
    reader, piece = EventReader(), b"data: " + b"x" * (1 << 20)

    with pytest.raises(NoEvents):
        for _ in range(2 * MOST_CHARS // len(piece)):
            list(reader.feed(piece))


def test_a_large_event_is_read_in_one_pass() -> None:
    data = {"rows": ["x" * 100] * 50_000}
    whole, reader = f"data: {json.dumps(data)}\n\n".encode(), EventReader()

    events = [event for start in range(0, len(whole), 1_000) for event in reader.feed(whole[start : start + 1_000])]

    assert [event.data for event in events] == [data]
