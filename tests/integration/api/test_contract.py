"""The contract's two example bodies, from real runs on the real engine."""

import threading
from typing import Any

from sqlalchemy import text

from models.database import Database
from tests.integration.conftest import Client, Population

COMPLETED: dict[str, Any] = {
    "status": "completed",
    "stage_status": {"email_lookup": "completed", "email_verify": "completed"},
    "progress": {"percent": 100, "message": "Run complete."},
    "result_handles": [],
    "artifact_handles": [{"asset_id": "verified_contacts", "label": "Verified Contacts", "kind": "contacts"}],
    "export_handles": [],
    "preview": {
        "delivered_counts": {"delivered_contacts": 95, "verified_emails": 78},
        "pricing": {"rebate_credits": 20},
    },
    "data_source_mix": {"enriched": 95},
    "gap_report": {"unresolved": 5},
}


def without_additions(value: Any, documented: Any) -> Any:
    """`value` with only the keys that the contract documents; additions inside objects are allowed."""
    if isinstance(documented, dict):
        return {key: without_additions(value[key], inner) for key, inner in documented.items()}
    return value


def test_the_example_of_a_hundred_contacts_gives_exactly_the_documented_values(
    client: Client, population: Population
) -> None:
    body = create_example(client, population, export_formats=[])

    state = client.finished(body["run_id"])

    assert list(state) == ["run_id", *COMPLETED]
    assert without_additions(state, COMPLETED) == COMPLETED


def create_example(client: Client, population: Population, **output: Any) -> dict[str, Any]:
    plan = {
        "pipeline_id": "email_discovery_v1",
        "preset": "full_pipeline",
        "input_assets": {"contacts": [
            {"first_name": p.first_name, "last_name": p.last_name, "company": p.company, "domain": p.domain}
            for p in population.hundred
        ]},
        "output": {"required_fields": ["email"], **output},
    }  # fmt: skip
    response = client.http.post("/api/v1/growth/run", json={"goal_plan": plan})
    assert response.status_code == 202
    created: dict[str, Any] = response.json()
    return created


def test_the_answer_to_a_created_run_is_the_documented_one(client: Client, population: Population) -> None:
    body = create_example(client, population)

    assert body == {
        "status": "running",
        "run_id": body["run_id"],
        "preview": {"message": "Enrichment has been queued.", "pipeline_id": "full_pipeline"},
    }
    client.finished(body["run_id"])


def test_a_polling_client_sees_stages_in_order_and_a_percent_that_never_falls(
    client: Client, population: Population
) -> None:
    run_id = client.create(population.crowd)

    states = client.states(run_id)

    percents = [state["progress"]["percent"] for state in states]
    assert percents == sorted(percents)
    assert len(set(percents)) > 5
    assert [percent for percent in percents if percent == 100] == [100]
    assert_stages_grow_in_order([state["stage_status"] for state in states])
    messages = [state["progress"]["message"] for state in states]
    assert distinct([message for message in messages if "can be asked again" not in message])[-4:] == [
        "Discovering email addresses...",
        "Verifying email addresses...",
        "Compiling results...",
        "Run complete.",
    ]


def assert_stages_grow_in_order(seen: list[dict[str, str]]) -> None:
    expected = [
        {},
        {"email_lookup": "running"},
        {"email_lookup": "completed"},
        {"email_lookup": "completed", "email_verify": "running"},
        {"email_lookup": "completed", "email_verify": "completed"},
    ]
    places = [expected.index(stages) for stages in seen]
    assert places == sorted(places)
    assert {1, 3, 4} <= set(places)


def distinct(messages: list[str]) -> list[str]:
    return list(dict.fromkeys(messages))


def test_a_running_run_has_empty_results(client: Client, population: Population) -> None:
    run_id = client.create(population.crowd)

    running = client.states(run_id, until=lambda state: state["progress"]["percent"] > 0)[-1]

    empty = {key: running[key] for key in list(running)[4:]}
    assert empty == {
        "result_handles": [],
        "artifact_handles": [],
        "export_handles": [],
        "preview": {},
        "data_source_mix": {},
        "gap_report": {},
    }
    client.finished(run_id)


def test_many_readers_at_once_never_see_the_percent_fall(client: Client, population: Population) -> None:
    run_id = client.create(population.crowd)
    seen: dict[int, list[int]] = {}

    def read(number: int) -> None:
        seen[number] = [state["progress"]["percent"] for state in client.states(run_id)]

    readers = [threading.Thread(target=read, args=(number,)) for number in range(6)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()

    assert len(seen) == 6
    assert all(percents == sorted(percents) for percents in seen.values())


def test_no_personal_data_is_in_the_timeline(client: Client, population: Population, stack_database: Database) -> None:
    run_id = client.create(population.hundred)
    client.finished(run_id)

    with stack_database.transaction() as session:
        rows = session.execute(text("SELECT e::text FROM run_events e WHERE run_id = :id"), {"id": run_id}).scalars()
        timeline = "\n".join(rows)

    names = {person.last_name for person in population.hundred} | {person.domain for person in population.hundred}
    assert timeline
    assert [name for name in names if name in timeline] == []
