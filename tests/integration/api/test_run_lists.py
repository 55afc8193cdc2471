"""An account lists its runs, newest first, page by page."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from models.database import Database
from tests.integration.conftest import Client, Population, end_runs, waiting_runs

RUNS = "/api/v1/growth/runs"


@pytest.fixture
def five(client: Client, stack_database: Database) -> Iterator[Sequence[str]]:
    """Five runs that no worker is told of, the newest first."""
    made = waiting_runs(client, stack_database, 5)
    yield made[::-1]
    end_runs(stack_database, client.account.account_id)


def listed(client: Client, **parameters: Any) -> dict[str, Any]:
    answer = client.http.get(RUNS, params=parameters)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def ids(page: dict[str, Any]) -> list[str]:
    return [run["run_id"] for run in page["runs"]]


def test_the_newest_run_is_the_first_and_pages_follow_each_other(client: Client, five: Sequence[str]) -> None:
    seen, after = [], ""
    while True:
        page = listed(client, limit=2, after=after)
        seen += ids(page)
        if not (after := page["next"]):
            break

    assert seen == five


def test_runs_that_are_created_meanwhile_do_not_move_the_pages(client: Client, five: Sequence[str]) -> None:
    first = listed(client, limit=2)
    client.api.create_run([{"full_name": "Ada Example", "domain": "alpha.test"}], "full_pipeline")

    assert ids(listed(client, limit=3, after=first["next"])) == list(five[2:])


def test_a_list_shows_what_came_of_a_run(client: Client, population: Population) -> None:
    run_id = client.create(population.hundred)
    state = client.finished(run_id)

    (run,) = listed(client)["runs"]

    assert (run["run_id"], run["status"], run["preset"], run["percent"]) == (run_id, "completed", "full_pipeline", 100)
    assert (run["contacts"], run["delivered_contacts"], run["verified_emails"]) == (100, 95, 78)
    assert run["finished_at"] is not None
    assert state["preview"]["delivered_counts"]["verified_emails"] == run["verified_emails"]


def test_runs_are_listed_by_status_preset_and_time(
    client: Client, five: Sequence[str], stack_database: Database
) -> None:
    client.api.cancel_run(five[1])
    with stack_database.transaction() as session:
        session.execute(
            text("UPDATE runs SET created_at = created_at - CAST(:ago AS interval) WHERE id = :id"),
            {"ago": timedelta(hours=2), "id": five[4]},
        )
        an_hour_ago = session.execute(text("SELECT now() - interval '1 hour'")).scalar_one()

    assert ids(listed(client, status="cancelled")) == [five[1]]
    assert ids(listed(client, status="pending")) == [five[0], *five[2:]]
    assert ids(listed(client, preset="verify_existing_emails")) == []
    assert ids(listed(client, since=an_hour_ago.isoformat())) == list(five[:4])


def test_another_accounts_runs_are_not_listed(stranger: Client, five: Sequence[str]) -> None:
    assert len(five) == 5
    assert listed(stranger) == {"runs": [], "next": None}


@pytest.mark.parametrize(
    "parameters",
    [
        {"status": "done"},
        {"preset": "all"},
        {"since": "yesterday"},
        {"since": "2026-01-01T00:00:00"},
        {"since": "0.5"},
        {"limit": 0},
        {"limit": 501},
        {"after": "1"},
        {"after": "9" * 40},
    ],
)
def test_a_list_that_can_not_be_is_refused_with_the_parameter(client: Client, parameters: dict[str, object]) -> None:
    refused = client.http.get(RUNS, params=parameters)

    assert refused.status_code == 422
    assert next(iter(parameters)) in refused.json()["detail"]
