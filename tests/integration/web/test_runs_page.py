"""The list of runs: filters, pages, and what it says when there is nothing to show."""

import re

import pytest
from sqlalchemy import text

from models.database import Database
from tests.integration.conftest import Client, waiting_runs
from tests.integration.web.conftest import Visitor
from web.pages.runs import RUNS_ON_A_PAGE

ROW = re.compile(r'id="run-([0-9a-f-]{36})"')


def test_without_runs_it_says_how_to_begin(visitor: Visitor) -> None:
    page = visitor.get("/runs").text

    assert "No runs yet" in page
    assert "growth submit contacts.csv" in page
    assert ROW.findall(page) == []


def test_the_newest_run_is_the_first_and_pages_follow_each_other(
    visitor: Visitor, client: Client, stack_database: Database
) -> None:
    made = waiting_runs(client, stack_database, RUNS_ON_A_PAGE + 2)

    first = visitor.get("/runs").text
    older = re.search(r'href="(/runs\?after=[^"]+)">Older', first)
    assert older
    second = visitor.get(older[1]).text

    assert [*ROW.findall(first), *ROW.findall(second)] == [*reversed(made)]
    assert 'aria-disabled="true">Older' in second
    assert 'href="/runs?">Newest' in second or 'href="/runs">Newest' in second


def test_runs_are_filtered_by_state_and_counted(visitor: Visitor, client: Client, stack_database: Database) -> None:
    kept, cancelled = waiting_runs(client, stack_database, 2)
    client.api.cancel_run(cancelled)

    pending, ended = (ROW.findall(visitor.get("/runs", params={"status": s}).text) for s in ("pending", "cancelled"))
    chips = re.findall(r"(Pending|Cancelled|Failed) <span class=\"muted\">(\d+)</span>", visitor.get("/runs").text)

    assert (pending, ended) == ([kept], [cancelled])
    assert chips == [("Pending", "1"), ("Failed", "0"), ("Cancelled", "1")]


def test_filters_that_match_nothing_say_so_and_can_be_cleared(visitor: Visitor, waiting_run: str) -> None:
    page = visitor.get("/runs", params={"status": "failed", "since": "7"}).text

    assert "No run matches" in page
    assert "1 run is hidden by the filters." in page
    assert 'href="/runs">Clear the filters' in page


@pytest.mark.parametrize("wrong", ["status=nonsense", "preset=nonsense", "since=1000", "unknown=1"])
def test_a_filter_that_does_not_exist_filters_nothing(visitor: Visitor, waiting_run: str, wrong: str) -> None:
    assert ROW.findall(visitor.get(f"/runs?{wrong}").text) == [waiting_run]


@pytest.mark.parametrize("place", ["x", "1-2", "99999999999999999-" + "0" * 32 + "0"])
def test_a_place_that_is_none_is_refused_with_a_sentence(visitor: Visitor, place: str) -> None:
    answer = visitor.get("/runs", params={"after": place})

    assert answer.status_code == 422
    assert "<h1" in answer.text


def test_a_finished_run_shows_its_counts_and_what_it_cost(visitor: Visitor, client: Client, finished_run: str) -> None:
    state = client.api.read_run(finished_run)

    row = re.search(r'<tr role="row" id="run-.*?</tr>', visitor.get("/runs").text, re.DOTALL)

    assert row
    counts, pricing = state["preview"]["delivered_counts"], state["preview"]["pricing"]
    for label, number in (
        ("Contacts", 40),
        ("Found", counts["delivered_contacts"]),
        ("Verified", counts["verified_emails"]),
        ("Credits", pricing["net_credits"]),
    ):
        assert f'data-label="{label}">{number}</td>' in row[0]
    assert "Took " in row[0]


def test_a_run_whose_data_has_expired_says_so(visitor: Visitor, finished_run: str, stack_database: Database) -> None:
    with stack_database.transaction() as session:
        session.execute(
            text("UPDATE runs SET retracted_at = now(), expired_at = now() WHERE id = :id"), {"id": finished_run}
        )

    listed, page = visitor.get("/runs").text, visitor.get(f"/runs/{finished_run}").text

    assert "Data deleted on" in listed
    assert "The data of this run has expired" in page
    assert "The files were deleted with the data of this run." in page
