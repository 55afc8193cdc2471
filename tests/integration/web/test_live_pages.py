"""Live pages: parts of a run's page, and rows of the list, as they change."""

import re
import time
from itertools import pairwise

import pytest
from sqlalchemy import text

from models.database import Database
from tests.integration.conftest import Client, Population
from tests.integration.web.browser import GREYLISTED, execute
from tests.integration.web.conftest import Visitor
from tests.integration.web.test_sign_in import revoke

PERCENT = re.compile(r'<p class="big">(\d+)%</p>')
DONE = re.compile(r'<progress value="(\d+)" max="(\d+)" aria-label="(Find|Verify) addresses"')


def test_a_run_is_watched_until_its_end_and_nothing_goes_back(
    visitor: Visitor, client: Client, population: Population
) -> None:
    run_id = client.create(population.crowd[:200])

    events = list(visitor.live(f"/runs/{run_id}/live"))

    kinds = [event.kind for event in events]
    percents = [int(found[1]) for event in events if (found := PERCENT.search(event.data))]
    assert kinds[-2:] == ["end", "close"]
    assert {"progress", "stages", "counts", "timeline"} <= set(kinds)
    assert percents == sorted(percents)
    assert max(percents) < 100, "only a completed run is at 100, and its page is another one"
    for stage in ("Find", "Verify"):
        done = [int(d) for e in events if e.kind == "stages" for d, _, name in DONE.findall(e.data) if name == stage]
        assert done == sorted(done)


def test_a_part_is_sent_when_it_changes_and_twice_a_second_at_most(
    visitor: Visitor, client: Client, population: Population
) -> None:
    run_id = client.create(population.crowd[:200])

    began, events = time.monotonic(), list(visitor.live(f"/runs/{run_id}/live"))
    seconds = time.monotonic() - began

    for kind in ("progress", "stages", "counts"):
        parts = [event.data for event in events if event.kind == kind]
        assert all(before != after for before, after in pairwise(parts))
        assert len(parts) <= 2 * seconds + 2


def test_after_a_lost_connection_the_page_gets_all_of_its_parts(visitor: Visitor, waiting_run: str) -> None:
    first = next(iter(visitor.live(f"/runs/{waiting_run}/live")))

    again = next(iter(visitor.live(f"/runs/{waiting_run}/live", last_event_id=first.id or "")))

    assert again.kind == first.kind == "progress"


def test_a_page_that_knows_of_the_end_is_told_that_there_is_no_more(visitor: Visitor, finished_run: str) -> None:
    end, close = visitor.live(f"/runs/{finished_run}/live")

    again = visitor.get(f"/runs/{finished_run}/live", headers={"Last-Event-ID": end.id or ""})

    assert (end.kind, close.kind, again.status_code, again.content) == ("end", "close", 204, b"")


@pytest.mark.parametrize("event_id", ["9" * 5_000, "9" * 19, "-1", "x"])
def test_an_event_id_that_is_none_of_ours_is_as_if_there_were_none(
    visitor: Visitor, finished_run: str, event_id: str
) -> None:
    events = visitor.live(f"/runs/{finished_run}/live", last_event_id=event_id)

    assert [event.kind for event in events] == ["end", "close"]


def test_a_stream_ends_within_five_seconds_when_its_key_is_revoked(
    visitor: Visitor, client: Client, waiting_run: str, stack_database: Database
) -> None:
    events = visitor.live(f"/runs/{waiting_run}/live")
    next(events)
    began = time.monotonic()

    revoke(stack_database, client.account.api_key)

    assert [event.kind for event in events][-2:] == ["refused", "close"]
    assert time.monotonic() - began < 5


def test_the_stream_of_the_list_ends_too_when_its_key_is_revoked(
    visitor: Visitor, client: Client, waiting_run: str, stack_database: Database
) -> None:
    events = visitor.live(f"/runs/live?run={waiting_run}")
    next(events)
    began = time.monotonic()

    revoke(stack_database, client.account.api_key)

    assert [event.kind for event in events][-2:] == ["refused", "close"]
    assert time.monotonic() - began < 5


def test_a_row_of_the_list_changes_with_its_run_and_the_stream_ends_with_the_last(
    visitor: Visitor, client: Client, population: Population
) -> None:
    run_id = client.create(population.crowd[:30])

    rows = [event.data for event in visitor.live(f"/runs/live?run={run_id}") if event.kind == "run"]

    assert f'id="run-{run_id}" hx-swap-oob="morph"' in rows[0]
    assert 'data-state="completed"' in rows[-1]


def test_whoever_waits_is_named_with_the_time_of_the_next_visit(
    visitor: Visitor, waiting_run: str, stack_database: Database
) -> None:
    """As a run with a greylisting server leaves its rows."""
    with stack_database.transaction() as session:
        for statement in (
            "UPDATE runs SET status = 'running', started_at = now(), version = version + 1,"
            " parked_until = now() + interval '20 minutes' WHERE id = :id",
            "UPDATE run_stages SET status = 'running', started_at = now(), done = 1, waiting = 2"
            " WHERE run_id = :id AND ordinal = 0",
            "INSERT INTO run_chunks (run_id, stage, number, first_position, last_position, not_before, waiting)"
            " VALUES (:id, 'email_lookup', 0, 0, 2, now() + interval '20 minutes', 2)",
        ):
            session.execute(text(statement), {"id": waiting_run})
        until = session.scalar(
            text("SELECT to_char(not_before AT TIME ZONE 'UTC', 'HH24:MI') FROM run_chunks WHERE run_id = :id"),
            {"id": waiting_run},
        )

    page = visitor.get(f"/runs/{waiting_run}").text

    assert f"<strong>2 contacts wait until {until}.</strong>" in page
    assert f"Not before {until}" in page
    assert "0 to go, 2 wait" in page


def test_the_badge_and_the_title_of_the_page_change_with_the_state_of_the_run(
    visitor: Visitor, waiting_run: str, stack_database: Database
) -> None:
    states = (event.data for event in visitor.live(f"/runs/{waiting_run}/live") if event.kind == "state")
    before = next(states)

    execute(stack_database, waiting_run, *GREYLISTED)
    after = next(states)

    for badge, word, name in ((before, "pending", "Pending"), (after, "running", "Running")):
        assert f'data-state="{word}" id="live-state" hx-swap-oob="morph"' in badge
        assert f"{name}</span>" in badge
        assert f", {word} · Growth engine</title>" in badge
    assert 'data-sse-swap="state"' in visitor.get(f"/runs/{waiting_run}").text


def test_contacts_that_may_be_asked_again_still_wait_until_a_worker_takes_them(
    visitor: Visitor, waiting_run: str, stack_database: Database
) -> None:
    execute(stack_database, waiting_run, *GREYLISTED)
    execute(stack_database, waiting_run, "UPDATE run_chunks SET not_before = now() WHERE run_id = :id")

    page = visitor.get(f"/runs/{waiting_run}").text

    assert "0 to go, 2 wait" in page
    assert "<strong>2 contacts wait.</strong>" in page
    assert "No contact waits." not in page
