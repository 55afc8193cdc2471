"""Watching goes on while the API is away, for as long as a run may last; an error that can't pass ends it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from cli.client import ApiAway, ApiClient, ApiError, Credentials
from cli.watching import FIRST_ANSWER_S, LONGEST_RETRY_AFTER_S, LONGEST_SILENCE_S, Patience, watch
from tests.unit.cli.scripted_api import CUT, RUN_ID, Answer, refusal, scripted_api, state


@dataclass
class Clock:
    """Time passes by sleeping only."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def patience(self, **options: Any) -> Patience:
        return Patience(Console(record=True, width=300), sleep=self.sleep, clock=lambda: self.now, **options)


def read_state(*answers: Answer) -> tuple[dict[str, Any], list[float], str]:
    clock = Clock()
    patience = clock.patience()
    with scripted_api(*answers) as (credentials, _), ApiClient(credentials) as client:
        answer = patience(lambda: client.read_run(RUN_ID))
    return answer, clock.pauses, patience.console.export_text()


@pytest.mark.parametrize(
    "trouble",
    [
        CUT,
        refusal(503, "The database can't be reached right now."),
        refusal(429, "Too many."),
        Answer(502, b"<html>Bad gateway</html>", {"Content-Type": "text/html"}),
        Answer(504, b""),
        Answer(500, b"{"),
        Answer(200, b"<html>Back soon</html>"),
        Answer(200, b"[]"),
    ],
    ids=["cut", "503", "429", "proxy's 502", "504", "500", "a page", "other JSON"],
)
def test_trouble_that_may_pass_is_waited_out_and_reported_once(trouble: Answer) -> None:
    answer, pauses, text = read_state(trouble, trouble, trouble, state())

    assert answer["status"] == "completed"
    assert pauses == [0.25, 0.5, 1.0]
    assert text.count("Trying again") == 1
    assert text.count("answers again") == 1


def test_retry_after_is_honoured_as_seconds_and_as_a_date_within_reason() -> None:
    date = formatdate(4_000_000_000, usegmt=True)
    _, pauses, _ = read_state(
        refusal(429, "Wait.", Retry_After="7"),
        refusal(503, "Wait.", Retry_After=date),
        refusal(503, "Wait.", Retry_After="soon"),
        state(),
    )

    assert pauses == [7.0, LONGEST_RETRY_AFTER_S, 1.0]


@pytest.mark.parametrize(("status", "sentence"), [(401, "No key."), (403, "Not paid."), (404, "There is no such run.")])
def test_a_refusal_ends_it_at_once(status: int, sentence: str) -> None:
    with pytest.raises(ApiError, match=sentence) as ended:
        read_state(refusal(status, sentence), state())

    assert ended.value.status == status


def test_what_a_server_says_shows_and_does_nothing() -> None:
    with pytest.raises(ApiError) as ended:
        read_state(refusal(404, "There is \x1b[31mno such\x9b0m run.\r\u202e"), state())

    assert str(ended.value) == "There is \ufffd[31mno such\ufffd0m run.\ufffd\ufffd"


def away(status: int | None) -> Callable[[], None]:
    def request() -> None:
        raise ApiAway("The API does not answer.", status)

    return request


def test_watching_ends_soon_at_an_api_that_never_answered_and_late_at_one_that_did() -> None:
    for has_answered, longest in ((False, FIRST_ANSWER_S), (True, LONGEST_SILENCE_S)):
        clock = Clock()
        with pytest.raises(ApiAway):
            clock.patience(has_answered=has_answered)(away(None))
        assert longest < clock.now < longest + 10


def test_an_api_that_is_not_there_is_reported_with_the_reason() -> None:
    with scripted_api(state()) as (gone, _):
        pass
    with ApiClient(Credentials(gone.api_url, "growth_example")) as client, pytest.raises(ApiAway) as refused:
        client.read_run(RUN_ID)

    assert "does not answer (connection refused): is `growth up` running?" in str(refused.value)


def test_a_check_that_fails_ends_the_waiting() -> None:
    def check() -> None:
        raise RuntimeError("The engine ended.")

    with pytest.raises(RuntimeError):
        Clock().patience(check=check)(away(None))


def test_the_runs_message_stands_under_the_bars_until_it_is_finished() -> None:
    message = "1 contact waits and is asked about again."
    waits = state("running", 97, progress={"percent": 97, "message": message, "stages": {}})
    console = Console(file=StringIO(), force_terminal=True, width=100, record=True)

    with scripted_api(waits, state()) as (credentials, _), ApiClient(credentials) as client:
        watch(client, RUN_ID, console)

    shown = console.export_text()
    assert message in shown
    assert "As it is." not in shown


def test_a_stage_that_has_not_begun_is_an_empty_bar_without_colours() -> None:
    counts = {"email_lookup": {"done": 10, "total": 10}, "email_verify": {"done": 0, "total": 0}}
    progress = {"percent": 50, "message": "Stopped.", "stages": counts}
    failed = state("failed", 50, progress=progress, stage_status={"email_lookup": "failed"})
    output = StringIO()

    with scripted_api(failed) as (credentials, _), ApiClient(credentials) as client:
        watch(client, RUN_ID, Console(file=output, width=100))

    begun, waiting = output.getvalue().splitlines()
    assert begun.count("━") == 40
    assert ("waiting" in waiting, waiting.count("━")) == (True, 0)
