"""Cancel and retry over HTTP while chunk tasks are running, and their events in the timeline."""

import time
from uuid import UUID

import pytest

from models.database import Database
from models.queries import events_of_run
from tests.factories import count
from tests.integration.conftest import Client, Population

CANCEL_TAKES_EFFECT_S = 2.0


def cancelled_in_mid_run(client: Client, population: Population) -> str:
    run_id = client.create(population.crowd)
    client.states(run_id, until=lambda state: state["progress"]["percent"] >= 5)
    client.api.cancel_run(run_id)
    return run_id


def outcomes_of(database: Database, run_id: str) -> int:
    with database.transaction() as session:
        return count(session, "SELECT count(*) FROM outcomes WHERE run_id = :id", id=run_id)


def test_cancelling_answers_with_the_final_state(client: Client, population: Population) -> None:
    run_id = cancelled_in_mid_run(client, population)

    state = client.api.read_run(run_id)

    assert state["status"] == "cancelled"
    assert state["stage_status"]["email_lookup"] in {"cancelled", "completed"}
    assert state["progress"]["percent"] < 100
    assert state["artifact_handles"] == []
    pricing = state["preview"]["pricing"]
    assert pricing["net_credits"] == 4 * state["preview"]["delivered_counts"]["delivered_contacts"]


def test_every_chunk_task_of_a_cancelled_run_stops_within_two_seconds(
    client: Client, population: Population, stack_database: Database
) -> None:
    run_id = cancelled_in_mid_run(client, population)
    written = outcomes_of(stack_database, run_id)

    deadline = time.monotonic() + CANCEL_TAKES_EFFECT_S
    follower = client.create(population.hundred[:10])
    client.finished(follower, seconds=CANCEL_TAKES_EFFECT_S + 3)

    assert outcomes_of(stack_database, run_id) == written
    while time.monotonic() < deadline:
        assert outcomes_of(stack_database, run_id) == written
        time.sleep(0.1)


def test_what_a_cancelled_run_found_can_be_downloaded(client: Client, population: Population) -> None:
    run_id = cancelled_in_mid_run(client, population)

    deadline = time.monotonic() + 20
    while not (handles := client.api.read_run(run_id)["export_handles"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert {handle["rows"] for handle in handles} == {len(population.crowd)}
    assert client.http.get(handles[0]["download_url"]).status_code == 200


def test_a_finished_run_can_not_be_cancelled(client: Client, population: Population) -> None:
    run_id = client.create(population.hundred[:3])
    client.finished(run_id)

    response = client.http.post(f"/api/v1/growth/runs/{run_id}/cancel")

    assert response.status_code == 409
    assert response.json()["detail"].startswith("This run is completed already")


def test_a_running_run_can_not_be_retried(client: Client, population: Population) -> None:
    run_id = client.create(population.crowd)

    response = client.http.post(f"/api/v1/growth/runs/{run_id}/retry")

    assert response.status_code == 409
    client.api.cancel_run(run_id)


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_another_accounts_run_is_unknown(client: Client, stranger: Client, population: Population, action: str) -> None:
    run_id = client.create(population.hundred[:3])

    assert stranger.http.post(f"/api/v1/growth/runs/{run_id}/{action}").status_code == 404
    assert client.finished(run_id)["status"] == "completed"


def test_a_retry_completes_and_both_runs_together_cost_what_was_delivered(
    client: Client, population: Population, stack_database: Database
) -> None:
    run_id = cancelled_in_mid_run(client, population)

    retry = client.api.retry_run(run_id)
    state = client.finished(retry)

    assert state["status"] == "completed"
    delivered = state["preview"]["delivered_counts"]["delivered_contacts"]
    with stack_database.transaction() as session:
        query = "SELECT credit_balance FROM accounts WHERE id = :id"
        assert count(session, query, id=client.account.account_id) == 100_000 - 4 * delivered
    assert client.api.retry_run(run_id) == retry
    assert client.api.read_run(run_id)["status"] == "cancelled"


def test_the_timeline_shows_all_events_in_order(
    client: Client, population: Population, stack_database: Database
) -> None:
    run_id = client.create(population.hundred)
    client.finished(run_id)

    events = client.api.read_events(run_id)

    kinds = [event["kind"] for event in events]
    assert (kinds[0], kinds[1], kinds[-1]) == ("created", "started", "completed")
    assert kinds.count("stage_completed") == 2
    assert kinds.count("chunk_leased") == kinds.count("chunk_finished")
    with stack_database.transaction() as session:
        assert len(events) == len(events_of_run(session, UUID(run_id)))
