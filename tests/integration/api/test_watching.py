"""A run is read again only when it has changed, waited for, and watched as a stream."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest
import redis
from sqlalchemy import text

from cli.local.stack import Stack
from models.database import Database
from pipeline.runs import live_state
from tests.factories import count
from tests.integration.conftest import Client, Population, end_runs, opened_client, waiting_runs


class Event(NamedTuple):
    """A server-sent event."""

    kind: str
    data: Any
    id: str | None


def path_of(run_id: str) -> str:
    return f"/api/v1/growth/runs/{run_id}"


def stream(client: Client, run_id: str, last_event_id: str = "") -> Iterator[Event]:
    """The events of a run, as they come."""
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    with client.http.stream("GET", f"{path_of(run_id)}/events", headers=headers, timeout=30) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
            elif "event" in fields:
                yield Event(fields["event"], json.loads(fields["data"]), fields.get("id"))
            if not line:
                fields = {}


@pytest.fixture(scope="module")
def client(stack: Stack, stack_database: Database) -> Iterator[Client]:
    """The client of all these tests: most of them read one finished run."""
    with opened_client(stack, stack_database) as opened:
        yield opened


@pytest.fixture(scope="module")
def finished_run(client: Client, population: Population) -> str:
    run_id = client.create(population.crowd[:20])
    client.finished(run_id)
    return run_id


@pytest.fixture
def waiting_run(client: Client, stack_database: Database) -> Iterator[str]:
    """A run that waits for a worker: nobody is told of it for an hour."""
    yield waiting_runs(client, stack_database, 1)[0]
    end_runs(stack_database, client.account.account_id)


@pytest.fixture
def canceller(stack_redis: redis.Redis, client: Client, waiting_run: str) -> Iterator[None]:
    """Somebody else, who cancels the run as soon as the API listens for its changes."""

    def cancel() -> None:
        while not stack_redis.pubsub_numsub(live_state.channel(UUID(waiting_run)))[0][1]:
            time.sleep(0.005)
        client.api.cancel_run(waiting_run)

    thread = threading.Thread(target=cancel, daemon=True)
    thread.start()
    yield
    thread.join(10)
    assert not thread.is_alive()


def test_a_state_that_did_not_change_is_not_sent_again(client: Client, finished_run: str) -> None:
    first = client.http.get(path_of(finished_run))
    again = client.http.get(path_of(finished_run), headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]


@pytest.mark.parametrize("headers", [{}, {"If-None-Match": "known"}])
def test_a_plain_read_is_answered_as_one_with_parameters_is(
    client: Client, finished_run: str, waiting_run: str, headers: dict[str, str]
) -> None:
    for run_id in (finished_run, waiting_run):
        known = client.http.get(path_of(run_id)).headers["ETag"]
        given = dict.fromkeys(headers, known)

        plain, with_parameters = (
            client.http.get(path_of(run_id), params=parameters, headers=given) for parameters in ({}, {"wait": 0})
        )

        assert (plain.status_code, plain.content) == (with_parameters.status_code, with_parameters.content)
        assert set(plain.headers) == set(with_parameters.headers)
        differ = {"date", "ratelimit"}
        assert {name: value for name, value in plain.headers.items() if name not in differ} == {
            name: value for name, value in with_parameters.headers.items() if name not in differ
        }


@pytest.mark.usefixtures("canceller")
def test_who_waits_is_answered_at_the_next_change(client: Client, waiting_run: str) -> None:
    before = client.http.get(path_of(waiting_run))

    began = time.monotonic()
    after = client.http.get(
        path_of(waiting_run), params={"wait": 20}, headers={"If-None-Match": before.headers["ETag"]}, timeout=30
    )

    assert (before.json()["status"], after.json()["status"]) == ("pending", "cancelled")
    assert time.monotonic() - began < 10


@pytest.mark.usefixtures("canceller")
def test_who_waits_without_a_state_waits_for_one_after_the_present_one(client: Client, waiting_run: str) -> None:
    answer = client.http.get(path_of(waiting_run), params={"wait": 20}, timeout=30)

    assert answer.json()["status"] == "cancelled"


def test_who_has_an_older_state_is_answered_at_once(client: Client, waiting_run: str) -> None:
    before = client.http.get(path_of(waiting_run))
    client.api.cancel_run(waiting_run)

    answer = client.http.get(
        path_of(waiting_run), params={"wait": 60}, headers={"If-None-Match": before.headers["ETag"]}, timeout=5
    )

    assert answer.json()["status"] == "cancelled"


def test_waiting_ends_with_304_when_nothing_changes(client: Client, waiting_run: str) -> None:
    before = client.http.get(path_of(waiting_run))

    answer = client.http.get(
        path_of(waiting_run), params={"wait": 1}, headers={"If-None-Match": before.headers["ETag"]}, timeout=30
    )

    assert answer.status_code == 304


def test_a_run_that_has_ended_is_not_waited_for(client: Client, finished_run: str) -> None:
    state = client.http.get(path_of(finished_run), params={"wait": 60}, timeout=5)

    assert state.json()["status"] == "completed"


@pytest.mark.parametrize("wait", ["-1", "61", "soon"])
def test_a_wait_that_is_none_is_refused(client: Client, finished_run: str, wait: str) -> None:
    refused = client.http.get(path_of(finished_run), params={"wait": wait})

    assert refused.status_code == 422
    assert "wait" in refused.json()["detail"]


def test_a_client_is_advised_when_to_read_again_until_the_end(client: Client, waiting_run: str) -> None:
    waiting = client.http.get(path_of(waiting_run))
    client.api.cancel_run(waiting_run)
    ended = client.http.get(path_of(waiting_run))

    assert waiting.headers["Retry-After"] == "1"
    assert "Retry-After" not in ended.headers


def test_each_answer_says_how_many_requests_are_left(client: Client, finished_run: str) -> None:
    first, second = (client.http.get(path_of(finished_run)).headers for _ in range(2))

    assert first["RateLimit-Policy"] == '"requests";q=100000;w=60'
    left = [int(headers["RateLimit"].split("r=")[1].split(";")[0]) for headers in (first, second)]
    assert left[1] == left[0] - 1


def test_a_stream_tells_the_states_of_a_run_and_its_steps_to_the_end(client: Client, population: Population) -> None:
    run_id = client.create(population.crowd[30:90])

    events = list(stream(client, run_id))

    states = [event.data for event in events if event.kind == "state"]
    percents = [state["progress"]["percent"] for state in states]
    assert percents == sorted(percents)
    assert states[-1] == client.api.read_run(run_id)
    steps = [event.data["kind"] for event in events if event.kind == "timeline"]
    assert steps[:2] == ["created", "started"]
    assert steps.count("stage_completed") == 2
    assert steps[-1] == "completed"
    assert events[-1].kind == "end"


def test_a_stream_goes_on_behind_the_last_step_that_was_seen(client: Client, finished_run: str) -> None:
    steps = [event for event in stream(client, finished_run) if event.kind == "timeline"]
    middle = len(steps) // 2

    rest = [event for event in stream(client, finished_run, str(steps[middle - 1].id)) if event.kind == "timeline"]

    assert rest == steps[middle:]


def test_a_stream_of_which_all_was_seen_has_no_content_so_that_browsers_do_not_come_again(
    client: Client, finished_run: str
) -> None:
    last = [event for event in stream(client, finished_run) if event.kind == "timeline"][-1]

    again = client.http.get(f"{path_of(finished_run)}/events", headers={"Last-Event-ID": str(last.id)})

    assert (again.status_code, again.content) == (204, b"")


@pytest.mark.usefixtures("canceller")
def test_a_stream_shows_a_change_at_once(client: Client, waiting_run: str) -> None:
    events = stream(client, waiting_run)

    first, second = islice((event for event in events if event.kind == "state"), 2)

    assert (first.data["status"], second.data["status"]) == ("pending", "cancelled")


def test_a_stream_whose_key_is_revoked_ends_within_five_seconds(stack: Stack, stack_database: Database) -> None:
    with opened_client(stack, stack_database) as client:
        events = stream(client, waiting_runs(client, stack_database, 1)[0])
        next(event for event in events if event.kind == "state")
        with stack_database.transaction() as session:
            session.execute(
                text("UPDATE api_keys SET revoked_at = now() WHERE account_id = :id"), {"id": client.account.account_id}
            )

        began = time.monotonic()
        (refusal,) = list(events)

        assert refusal.kind == "refused"
        assert "not valid" in refusal.data["detail"]
        assert time.monotonic() - began < 5
        end_runs(stack_database, client.account.account_id)


@pytest.mark.parametrize("what", ["", "?wait=1", "/events", "/timeline"])
def test_another_accounts_run_can_not_be_watched(stranger: Client, waiting_run: str, what: str) -> None:
    assert stranger.http.get(f"{path_of(waiting_run)}{what}").status_code == 404


def test_a_hundred_streams_of_an_account_beside_each_other_cost_no_connection_to_postgres(
    client: Client, waiting_run: str, stack_database: Database
) -> None:
    many = httpx.Client(
        base_url=client.http.base_url, headers=client.http.headers, trust_env=False, limits=httpx.Limits(), timeout=30
    )
    with ExitStack() as open_streams:
        open_streams.enter_context(many)
        for _ in range(100):
            response = open_streams.enter_context(many.stream("GET", f"{path_of(waiting_run)}/events"))
            next(line for line in response.iter_lines() if line == "event: state")

        with stack_database.transaction() as session:
            busy = count(session, "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'")
        assert busy <= 2
        assert client.http.get(path_of(waiting_run)).status_code == 200
