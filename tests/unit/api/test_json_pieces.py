"""Bodies are parsed piece by piece, with the same result as `json` whatever the pieces, and only up to the bounds."""

import json
import re
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from fastapi import HTTPException
from hypothesis import given, settings
from hypothesis import strategies as st

from api import json_pieces
from api.bodies import parse_run_request
from api.json_pieces import NotJson, read_json
from pipeline.errors import InvalidInput
from tests.unit.models.test_wire import PERSON, body

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner), max_leaves=9
)


@pytest.fixture(params=[(1, 24), (7, 17), (256 * 1024, 2048)], ids=["bytes", "some bytes", "as usual"])
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    piece_bytes, short_chars = request.param
    monkeypatch.setattr(json_pieces, "PIECE_BYTES", piece_bytes)
    monkeypatch.setattr(json_pieces, "SHORT_CHARS", short_chars)


def read(text: bytes) -> Any:
    return read_json(text, ("outer", "items"), "item", lambda _, item: item)


@pytest.mark.usefixtures("_pieces")
def test_any_json_is_parsed_as_the_json_module_parses_it() -> None:
    @settings(max_examples=40)
    @given(VALUES, st.lists(VALUES, max_size=5), st.sampled_from([None, 1]))
    def reads(other: Any, items: list[Any], indent: int | None) -> None:
        for value in (other, items, {"other": other, "outer": {"more": 1.5, "items": items, "x": other}}):
            text = json.dumps(value, indent=indent, ensure_ascii=indent is None)
            assert read(f" {text}\n".encode()) == json.loads(text)

    reads()


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"{", b"[", b'{"outer"', b'{"outer":', b'{"outer":{"items":[', b'{"outer":{"items":[1', b"1 2",
        b"tru",
        b'{"outer":{"items":[1,]}}', b'{"outer":{"items":[1 2]}}', b'{"a":1,}', b"{1:2}", b'{"a" 1}', b'"open',
        b"01",
        b'{"outer":{"items":["\x01"]}}', b"\xff", b'{"a":"\xe2\x82"}', b"\xef\xbb\xbf{}", b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(NotJson):
        read(text)


def test_a_field_that_is_given_twice_is_refused_beside_the_list() -> None:
    with pytest.raises(InvalidInput, match="field items: it is given twice"):
        read(b'{"outer":{"items":[1],"items":[2]}}')


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize(
    "behind", [b"x", b'x,"a"' + b',{"a":[1]}' * 9_000, b"x" + b" " * 900_000, b'"' + b"x" * 900_000]
)
def test_text_after_a_value_does_not_become_part_of_it(behind: bytes) -> None:
    with pytest.raises(NotJson, match="',' is expected"):
        read(b'{"outer":{"items":[{"a":1}' + behind)


def order(item: bytes, count: int) -> bytes:
    return body(PERSON).replace(json.dumps(PERSON).encode(), b",".join([item] * count))


HOSTILE = {
    "number and word": (b"1x" + b"2" * 900_000, 1),
    "empty contacts": (b"{}", 8_000),
    "numbers": (b"1", 8_000),
    "too many": (b"{}", 200_000),
    "lists of empty lists": (b'{"x":[' + b",".join([b"[]"] * 90_000) + b"]}", 1),
    "one long contact": (b'{"x":[' + b",".join([b"[]"] * 400_000) + b"]}", 1),
    "deep": (b"[" * 100_000 + b"]" * 100_000, 5),
    "many names": (b"{" + b",".join(b'"%x":1' % n for n in range(20_000)) + b"}", 5),
    "long names": (b'{"' + b"x" * 250_000 + b'":1}', 5),
    "NaN": (json.dumps(PERSON | {"x": float("nan")}).encode(), 8_000),
    "open text": (b'{"x":"' + b"x" * 900_000, 1),
    "white space": (b" " * 900_000 + b"1", 1),
    "formats": (b'1]},"output":{"export_formats":[' + b",".join([b'"csv"'] * 30_000) + b'],"x":[', 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_refusal_is_short_and_takes_no_more_memory_than_a_few_pieces(name: str) -> None:
    text = order(*HOSTILE[name])
    tracemalloc.start()

    with pytest.raises((InvalidInput, HTTPException)) as refused:
        parse_run_request(text, 10_000)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(str(refused.value)) < 2_000
    assert peak < 16_000_000


def parsed(text: bytes) -> tuple[int, int]:
    """How many characters the JSON parser got, in all and at most in one call; the x of long texts do not count."""
    given = [0]

    class Counting(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
            given.append(len(re.sub(r"x+", "", s)))
            return super().raw_decode(s, idx)

    with pytest.MonkeyPatch.context() as patched, suppress(InvalidInput, HTTPException):
        patched.setattr(json_pieces, "_DECODER", Counting())
        parse_run_request(text, 1_000_000)
    return sum(given), max(given)


LONG, SHORT = b'{"x":"' + b"x" * 280_000 + b'"}', json.dumps(PERSON).encode()
LISTS = b'{"x":[' + b",".join([b"[]"] * 90_000) + b"]}"


@pytest.mark.parametrize("item", [LONG, SHORT, LISTS], ids=["long", "short", "lists"])
def test_a_contact_is_parsed_in_short_steps(item: bytes) -> None:
    _, most = parsed(order(item, max(1, 600_000 // len(item))))

    assert most <= 4 * json_pieces.SHORT_CHARS


def test_the_time_to_parse_a_body_grows_with_its_size() -> None:
    small, large = (parsed(order(SHORT, count))[0] for count in (1_000, 10_000))

    assert large < 10.5 * small
