"""What a hostile or broken server answers is one of the client's errors, in bounded memory and time. Both clients."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from growth_client import GrowthClient, NotAnEngine, Unavailable, Unreachable
from growth_client.errors import Invalid, NotFound, Refused
from growth_client.wiring import sendable
from tests.unit.client.hostile_server import Handler, ask_asyncio, ask_blocking, hostile

STATE = {"run_id": "r", "status": "completed", "progress": {"percent": 100, "message": ""}}
Ask = Callable[..., Any]


@pytest.fixture(params=[ask_blocking, ask_asyncio], ids=["blocking", "asyncio"])
def ask(request: pytest.FixtureRequest) -> Ask:
    asked: Ask = request.param
    return asked


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_an_answer_without_an_end_is_not_read_to_its_end(ask: Ask) -> None:
    with hostile(lambda request: request.answer_without_end()) as server:
        with pytest.raises(NotAnEngine, match="more than an answer"):
            ask(server.url, "state", "r")
        assert server.hung_up.wait(10)


def test_an_error_without_an_end_is_an_error_without_a_reason(ask: Ask) -> None:
    with hostile(lambda request: request.answer_without_end(500)) as server:
        with pytest.raises(Unavailable, match="500 without a reason"):
            ask(server.url, "state", "r")
        with pytest.raises(Unavailable, match="500 without a reason"):
            ask(server.url, "events", "r")
        assert server.hung_up.wait(10)


@pytest.mark.parametrize("method", ["state", "events"])
def test_an_answer_that_is_packed_is_not_unpacked(ask: Ask, method: str) -> None:
    packed = gzip.compress(as_bytes(STATE))

    with hostile(lambda request: request.answer(packed, content_encoding="gzip")) as server:
        with pytest.raises(NotAnEngine, match="packs its answers"):
            ask(server.url, method, "r")
        assert {headers["accept-encoding"] for _, headers in server.requests} == {"identity"}


def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones(ask: Ask) -> None:
    def behave(request: Handler) -> None:
        params = httpx.URL(request.path).params
        if int(params["limit"]) > 300:
            request.answer_without_end()
        elif params["after"]:
            request.answer(as_bytes({"results": [{"row": 2}], "next": None}))
        else:
            request.answer(as_bytes({"results": [{"row": 1}], "next": "0"}))

    with hostile(behave) as server:
        assert ask(server.url, "results", "r") == [{"row": 1}, {"row": 2}]
        assert [httpx.URL(path).params["limit"] for path, _ in server.requests] == ["1000", "250", "250"]


def test_a_body_that_the_callers_own_client_has_read_is_taken_as_it_is() -> None:
    def packed(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=gzip.compress(as_bytes(STATE)), headers={"content-encoding": "gzip"})

    with httpx.Client(transport=httpx.MockTransport(packed)) as http:
        assert GrowthClient("http://engine.test", "growth_secret", http=http).state("r") == STATE


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    "answer",
    [b'{"run_id":"r","status":"running","progress":' + DEEP + b"}", b"[1]", as_bytes(STATE | {"status": [1]})],
    ids=["deep", "list", "a status that is a list"],
)
@pytest.mark.parametrize("method", ["state", "cancel", "events"])
def test_an_answer_of_another_shape_is_no_engines(ask: Ask, method: str, answer: bytes) -> None:
    with hostile(lambda request: request.answer(answer)) as server, pytest.raises(NotAnEngine):
        ask(server.url, method, "r")


def test_a_deep_error_is_one_without_a_reason(ask: Ask) -> None:
    short = b"[" * 20_000 + b"]" * 20_000

    with (
        hostile(lambda request: request.answer(b'{"detail":' + short + b"}", 400)) as server,
        pytest.raises(Refused, match="without a reason"),
    ):
        ask(server.url, "state", "r")


@pytest.mark.parametrize("event", [b"refused\ndata: 1", b"state\ndata: 1", b"state\ndata: {}", b"state\ndata: " + DEEP])
def test_a_stream_of_other_events_is_left_for_asking(ask: Ask, event: bytes) -> None:
    def behave(request: Handler) -> None:
        if request.path.endswith("/events"):
            request.answer(b"event: " + event + b"\n\n", content_type="text/event-stream")
        else:
            request.answer(as_bytes(STATE))

    with hostile(behave) as server:
        assert [each.data for each in ask(server.url, "events", "r")] == [STATE]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"artifact_handles": [], "export_handles": [{"asset_id": 5, "format": "csv", "bytes": 1, "sha256": ""}]},
        {"artifact_handles": [], "export_handles": [{"asset_id": "5", "format": "csv", "bytes": "x", "sha256": ""}]},
        {"artifact_handles": {}, "export_handles": []},
    ],
    ids=["no handles", "an id that is a number", "a size that is text", "handles that are no list"],
)
def test_a_state_with_other_handles_is_no_engines(ask: Ask, tmp_path: Path, more: Any) -> None:
    with hostile(lambda request: request.answer(as_bytes(STATE | more))) as server, pytest.raises(NotAnEngine):
        ask(server.url, "download", "r", tmp_path / "found.csv")
    assert list(tmp_path.iterdir()) == []


def test_an_offset_of_many_digits_is_none(ask: Ask) -> None:
    ready = as_bytes({"uploads": [], "upload_id": "u", "status": "ready"})

    with hostile(lambda request: request.answer(ready, upload_offset="9" * 5_000)) as server:
        assert ask(server.url, "upload", b"abc")["status"] == "ready"


def test_a_list_of_other_uploads_is_no_engines(ask: Ask) -> None:
    with (
        hostile(lambda request: request.answer(as_bytes({"uploads": [{"status": "ready"}]}))) as server,
        pytest.raises(NotAnEngine),
    ):
        ask(server.url, "upload", b"abc")


def test_a_page_that_is_its_own_next_page_ends_the_results(ask: Ask) -> None:
    with (
        hostile(lambda request: request.answer(as_bytes({"results": [], "next": "1"}))) as server,
        pytest.raises(NotAnEngine, match="pages without an end"),
    ):
        ask(server.url, "results", "r")


def test_an_upload_whose_bytes_never_arrive_ends_with_the_patience(ask: Ask) -> None:
    receiving = as_bytes({"uploads": [], "upload_id": "u", "status": "receiving"})

    with (
        hostile(lambda request: request.answer(receiving, upload_offset="3")) as server,
        pytest.raises(Unreachable, match="lost bytes"),
    ):
        ask(server.url, "upload", b"abc")


def test_an_event_of_lines_without_an_end_is_left_for_asking(ask: Ask) -> None:
    def behave(request: Handler) -> None:
        if request.path.endswith("/events"):
            lines = b"data: " + b"x" * 60_000 + b"\n"
            request.answer_without_end(piece=lines, content_type="text/event-stream")
        else:
            request.answer(as_bytes(STATE))

    with hostile(behave) as server:
        assert [each.data for each in ask(server.url, "events", "r")] == [STATE]
        assert server.hung_up.wait(10)


@pytest.mark.parametrize("upload_id", ["../../../evil?x=", "a/b#c", "\ud800", "é"])
def test_an_id_of_the_servers_leads_nowhere_else(ask: Ask, upload_id: str) -> None:
    answer = as_bytes({"uploads": [], "upload_id": upload_id, "status": "ready"})

    with hostile(lambda request: request.answer(answer, upload_offset="3")) as server:
        ask(server.url, "upload", b"abc")

        asked = [path.partition("?")[0].removeprefix("/api/v1/growth/uploads") for path, _ in server.requests]
        assert asked[:2] == ["", ""]
        assert {path.count("/") for path in asked[2:]} == {1}


@pytest.mark.parametrize("upload_id", ["..", ".", ""])
def test_an_id_of_dots_is_none(ask: Ask, upload_id: str) -> None:
    answer = as_bytes({"uploads": [], "upload_id": upload_id, "status": "ready"})

    with hostile(lambda request: request.answer(answer)) as server:
        with pytest.raises(NotFound, match="nothing with the id"):
            ask(server.url, "upload", b"abc")
        with pytest.raises(NotFound, match="nothing with the id"):
            ask(server.url, "state", upload_id)


@pytest.mark.parametrize("cursor", ["\ud800", "x" * 100_000], ids=["half a pair", "too long"])
def test_a_cursor_that_can_not_be_sent_is_a_sentence(ask: Ask, cursor: str) -> None:
    with (
        hostile(lambda request: request.answer(as_bytes({"results": [], "next": cursor}))) as server,
        pytest.raises(Invalid, match="can't be sent"),
    ):
        ask(server.url, "results", "r")


@pytest.mark.parametrize("key", ["a\nb", "a\0b", "a ", "é"])
def test_a_value_that_no_header_takes_is_a_sentence_before_anything_is_sent(key: str) -> None:
    options = {"method": "POST", "url": "http://api.test/", "headers": {"Idempotency-Key": key}}

    with httpx.Client() as http, pytest.raises(Invalid, match="can't be sent"):
        sendable(http, options)


@pytest.mark.parametrize("event_id", ["é", "\x01", "12 ", "9" * 100_000], ids=["letter", "control", "space", "long"])
def test_an_id_of_an_event_that_no_header_takes_is_passed_over(ask: Ask, event_id: str) -> None:
    events = iter([f"id: {event_id}\nevent: timeline\ndata: {{}}\n\n", "event: end\ndata: {}\n\n"])

    with hostile(lambda request: request.answer(next(events).encode(), content_type="text/event-stream")) as server:
        assert [each.id for each in ask(server.url, "events", "r")] == [""]
        assert "last-event-id" not in server.requests[-1][1]
