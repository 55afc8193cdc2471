"""What operations want done, and in which order: they are plain generators, and get their answers here."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from typing import Any

import pytest

from growth_client import calls, retries, uploading, watching
from growth_client.answers import FINAL
from growth_client.errors import (
    Conflict,
    GrowthError,
    InsufficientCredits,
    Invalid,
    NotAnEngine,
    RateLimited,
    Unavailable,
    Unreachable,
)
from growth_client.retries import Retries
from growth_client.server_sent import Event
from growth_client.steps import (
    Call,
    Close,
    Give,
    Lost,
    Open,
    Operation,
    Pause,
    Read,
    Reply,
    Request,
    Running,
    Send,
    Step,
)

READ = Request("GET", "/api/v1/growth/presets")
PATIENT = Retries(seconds=60)


def reply(status: int, body: Any = None, **headers: str) -> Reply:
    return Reply(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body or {}).encode()
    )


def steps_of(running: Running[Any], *outcomes: Any) -> list[Step]:
    """The steps of an operation, of which each request gets the next of these outcomes. Pauses and files get none."""
    left, taken = iter(outcomes), list[Step]()
    step = running.next()
    while step is not None:
        taken.append(step)
        step = running.next(next(left) if isinstance(step, Send | Open | Read) else None)
    assert list(left) == []
    return taken


def pauses(steps: list[Step]) -> list[float]:
    return [step.seconds for step in steps if isinstance(step, Pause)]


@pytest.mark.parametrize(
    "failure", [Lost("the connection was cut"), *(reply(status) for status in (408, 429, 502, 503, 504))]
)
def test_a_request_is_repeated_after_what_may_pass(failure: Any) -> None:
    running = Running(retries.send(READ, PATIENT))

    steps = steps_of(running, failure, failure, reply(200, {"presets": []}))

    assert [type(step) for step in steps] == [Send, Pause, Send, Pause, Send]
    assert running.result.status == 200


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422, 500])
def test_a_request_is_not_repeated_after_what_would_come_again(status: int) -> None:
    with pytest.raises(GrowthError, match="the reason"):
        steps_of(Running(retries.send(READ, PATIENT)), reply(status, {"detail": "the reason"}))


def test_a_conflict_that_ends_by_itself_is_waited_for() -> None:
    """An upload that is just being read answers 409 with `Retry-After`."""
    steps = steps_of(Running(retries.send(READ, PATIENT)), reply(409, retry_after="2"), reply(200))

    assert pauses(steps)[0] >= 2


@pytest.mark.parametrize("as_date", [False, True])
def test_the_pause_is_as_long_as_the_api_asks_for(*, as_date: bool) -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True) if as_date else "20"

    steps = steps_of(Running(retries.send(READ, PATIENT)), reply(429, retry_after=then), reply(200))

    assert 15 < pauses(steps)[0] <= 20


def test_a_pause_that_is_longer_than_the_client_is_patient_is_an_error_at_once() -> None:
    with pytest.raises(RateLimited) as limited:
        steps_of(Running(retries.send(READ, Retries(seconds=5))), reply(429, {"detail": "Wait."}, retry_after="60"))

    assert (str(limited.value), limited.value.retry_after) == ("Wait.", 60)


def test_pauses_double_and_end_with_the_patience() -> None:
    running = Running(retries.send(READ, Retries(seconds=30, first_pause=1, longest_pause=8)))
    taken: list[Step] = []

    with pytest.raises(Unreachable, match="no connection"):
        step = running.next()
        while step is not None:
            taken.append(step)
            step = running.next(Lost("no connection") if isinstance(step, Send) else None)

    waited = pauses(taken)
    assert sum(waited) <= 30
    assert all(bound / 2 <= pause <= bound for bound, pause in zip([1, 2, 4, 8, 8, 8, 8], waited, strict=False))
    assert len(waited) >= 5


def test_all_attempts_to_submit_have_one_idempotency_key() -> None:
    plan = calls.plan_of([{"full_name": "Grace Hopper", "domain": "example.com"}], None, "full_pipeline", None)
    running = Running(calls.submit(plan, None, None, PATIENT))

    steps = steps_of(running, Lost("the connection was cut"), reply(503), reply(202, {"run_id": "r"}))

    keys = {step.request.headers["Idempotency-Key"] for step in steps if isinstance(step, Send)}
    assert len(keys) == 1
    assert keys != {""}


def test_two_submissions_have_different_keys_unless_the_caller_gives_one() -> None:
    def key(given: str | None) -> str:
        steps = steps_of(Running(calls.submit({}, None, given, PATIENT)), reply(202, {"run_id": "r"}))
        assert isinstance(steps[0], Send)
        return steps[0].request.headers["Idempotency-Key"]

    assert key(None) != key(None)
    assert key("order-4711") == "order-4711"


def test_a_run_that_a_lost_request_has_cancelled_is_not_an_error() -> None:
    state = {"run_id": "r", "status": "cancelled", "progress": {}}
    running = Running(calls.cancel("r", PATIENT))

    steps_of(running, Lost("the connection was cut"), reply(409, {"detail": "It is cancelled."}), reply(200, state))

    assert running.result == state


def test_a_run_that_has_ended_otherwise_can_not_be_cancelled() -> None:
    state = {"run_id": "r", "status": "completed", "progress": {}}

    with pytest.raises(Conflict, match="completed already"):
        steps_of(Running(calls.cancel("r", PATIENT)), reply(409, {"detail": "completed already"}), reply(200, state))


@pytest.mark.parametrize("body", [b"<html>a proxy</html>", b"[]", b"{}", b"\xff"])
def test_what_is_no_engine_is_told(body: bytes) -> None:
    with pytest.raises(NotAnEngine, match="check the address"):
        steps_of(Running(calls.state("r", PATIENT)), Reply(200, {}, body))


def test_a_refusal_without_a_sentence_gets_one() -> None:
    with pytest.raises(InsufficientCredits, match="answers 402 without a reason"):
        steps_of(Running(calls.state("r", PATIENT)), Reply(402, {}, b"<html>"))
    with pytest.raises(Unavailable, match="answers 500"):
        steps_of(Running(calls.state("r", PATIENT)), Reply(500, {}, b""))
    with pytest.raises(GrowthError, match=r"sends us on to https://api\.example/"):
        steps_of(Running(calls.state("r", PATIENT)), Reply(301, {"location": "https://api.example/"}, b""))


def test_contacts_and_an_upload_exclude_each_other() -> None:
    for contacts, upload_id in ((None, None), ([], "u")):
        with pytest.raises(ValueError, match="one of them"):
            calls.plan_of(contacts, upload_id, "full_pipeline", None)


@pytest.mark.parametrize(
    "value", [float("nan"), "\ud800", {1, 2}, 10**5000], ids=["NaN", "half a pair", "a set", "digits"]
)
def test_what_json_can_not_say_is_a_sentence(value: Any) -> None:
    plan = calls.plan_of([{"full_name": "Grace Hopper", "note": value}], None, "full_pipeline", None)

    with pytest.raises(Invalid, match="is not JSON"):
        steps_of(Running(calls.submit(plan, None, None, PATIENT)))


def test_pages_are_fetched_as_they_are_read() -> None:
    running = Running(calls.results("r", ["valid"], PATIENT))
    pages = [reply(200, {"results": [1, 2], "next": "2"}), reply(200, {"results": [3], "next": None})]

    steps = steps_of(running, *pages)

    assert [step.item for step in steps if isinstance(step, Give)] == [1, 2, 3]
    assert [type(step) for step in steps] == [Send, Give, Give, Send, Give]
    assert [dict(step.request.params).get("after") for step in steps if isinstance(step, Send)] == ["", "2"]


def frame(kind: str, data: Mapping[str, Any], event_id: str = "") -> bytes:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def state_of(status: str, percent: int = 0) -> dict[str, Any]:
    return {"run_id": "r", "status": status, "progress": {"percent": percent}}


STREAM = Reply(200, {"content-type": "text/event-stream; charset=utf-8"})


def given(steps: list[Step]) -> Iterator[Event]:
    return (step.item for step in steps if isinstance(step, Give))


def watched(last_event_id: str = "") -> Operation[None]:
    return watching.events("r", last_event_id, PATIENT)


def test_a_stream_that_breaks_is_resumed_after_the_last_event_that_was_seen() -> None:
    steps = steps_of(
        Running(watched()),
        STREAM,
        frame("timeline", {"kind": "created"}, "7") + frame("state", state_of("running", 5)),
        Lost("the connection was cut"),
        STREAM,
        frame("state", state_of("running", 5)) + frame("timeline", {"kind": "completed"}, "9"),
        frame("state", state_of("completed", 100)) + frame("end", {}),
    )

    opened = [step.request.headers.get("Last-Event-ID") for step in steps if isinstance(step, Open)]
    assert opened == [None, "7"]
    assert [(event.kind, event.id) for event in given(steps)] == [
        ("timeline", "7"),
        ("state", "7"),
        ("timeline", "9"),
        ("state", "9"),
    ]
    assert isinstance(steps[-1], Close)


def test_a_process_goes_on_after_the_last_event_of_the_one_before() -> None:
    steps = steps_of(Running(watched("41")), reply(204), reply(200, state_of("completed", 100)))

    assert isinstance(steps[0], Open)
    assert steps[0].request.headers["Last-Event-ID"] == "41"
    assert [event.data["status"] for event in given(steps)] == ["completed"]


@pytest.mark.parametrize(
    "without_stream",
    [
        [Reply(200, {"content-type": "text/html"})],
        [reply(404)],
        [reply(405)],
        [STREAM, b"", STREAM, b""],
        [STREAM, b"data: {not json\n\n"],
    ],
    ids=["a page", "no such path", "no such method", "streams that end at once", "no events"],
)
def test_where_no_stream_comes_through_the_client_asks(without_stream: list[Any]) -> None:
    steps = steps_of(
        Running(watched()),
        *without_stream,
        reply(200, state_of("running", 5), etag='W/"1"'),
        reply(304, etag='W/"1"'),
        reply(200, state_of("completed", 100), etag='W/"2"'),
    )

    assert [event.data["progress"]["percent"] for event in given(steps)] == [5, 100]
    asked = [step.request for step in steps if isinstance(step, Send)]
    assert [(request.headers.get("If-None-Match"), dict(request.params)) for request in asked] == [
        (None, {}),
        ('W/"1"', {"wait": "30"}),
        ('W/"1"', {"wait": "30"}),
    ]


def test_a_run_that_does_not_exist_ends_the_watch_with_the_apis_sentence() -> None:
    with pytest.raises(GrowthError, match="no such run"):
        steps_of(Running(watched()), reply(404), reply(404, {"detail": "There is no such run."}))


def test_a_revoked_key_ends_the_watch() -> None:
    with pytest.raises(GrowthError, match="not valid"):
        steps_of(Running(watched()), STREAM, frame("refused", {"detail": "This API key is not valid."}))


def test_an_api_that_stays_away_ends_the_watch_when_the_patience_ends() -> None:
    running = Running(watching.events("r", "", Retries(seconds=10)))
    with pytest.raises(Unreachable):
        step = running.next()
        while step is not None:
            step = running.next(Lost("no connection") if isinstance(step, Open | Send) else None)


def test_the_final_statuses_are_the_contracts() -> None:
    assert {"completed", "failed", "cancelled"} == FINAL


def perform(running: Running[Any], outcome_of: Callable[[Any], Any]) -> None:
    """Perform an operation, with these outcomes of its steps."""
    step = running.next()
    for _ in range(100_000):
        if step is None:
            return
        step = running.next(outcome_of(step))
    pytest.fail("it goes on without an end")


def test_empty_pages_end_at_some_time() -> None:
    cursors = count()

    with pytest.raises(NotAnEngine, match="without an end"):
        perform(
            Running(calls.results("r", [], PATIENT)), lambda _: reply(200, {"results": [], "next": str(next(cursors))})
        )
    assert next(cursors) > calls.MOST_EMPTY_PAGES


def test_a_file_that_is_never_read_ends_the_upload() -> None:
    file = uploading.file_of(b"abc", None)
    answers = {"uploads": [], "upload_id": "u", "status": "reading"}
    running = Running(uploading.upload(file, uploading.Reading(), PATIENT))

    with pytest.raises(Unreachable, match="not read the file"):
        perform(
            running, lambda step: step.function() if isinstance(step, Call) else reply(200, answers, upload_offset="3")
        )


def test_an_upload_that_forgets_its_bytes_again_and_again_ends_with_the_patience() -> None:
    file = uploading.file_of(b"a" * (uploading.PIECE + 1), None)
    running = Running(uploading.upload(file, uploading.Reading(), PATIENT))

    def outcome(step: Any) -> Any:
        if isinstance(step, Call):
            return step.function()
        is_second = isinstance(step, Send) and step.request.headers.get("Upload-Offset") == str(uploading.PIECE)
        return reply(503) if is_second else reply(200, {"uploads": [], "upload_id": "u", "status": "receiving"})

    with pytest.raises(Unavailable):
        perform(running, outcome)
