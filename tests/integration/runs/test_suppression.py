"""The suppression list and erasure through the API, the command and the workers."""

import csv
import io
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from cli.local.stack import Stack
from models.database import Database
from sandbox.internet import Internet
from sandbox.people import Person
from tests.growth_command import run_growth
from tests.integration.conftest import Client, Population
from tests.integration.runs.test_retention import wait_until
from tests.old_runs import all_copies, all_rows

LIST, ERASURES = "/api/v1/growth/suppressions", "/api/v1/growth/erasures"


@pytest.fixture
def found(client: Client, population: Population) -> tuple[str, list[dict[str, Any]]]:
    """A finished run over eight people, and its contacts."""
    run_id = client.create(population.hundred[:8], preview_rows=8)
    contacts = client.finished(run_id)["result_handles"]
    return run_id, [contact for contact in contacts if contact["email"]]


def growth(client: Client, *arguments: str) -> "subprocess.CompletedProcess[str]":
    access = {"GROWTH_API_URL": client.api.api_url, "GROWTH_API_KEY": client.account.api_key}
    return run_growth(*arguments, env={**os.environ, **access})


def post(client: Client, url: str, **body: Any) -> dict[str, Any]:
    response = client.http.post(url, json=body, timeout=60)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def people_at_two_domains(population: Population) -> tuple[Sequence[Person], Sequence[Person]]:
    """Some people at one domain, and some elsewhere."""
    domain = population.crowd[0].domain
    at_domain = [person for person in population.crowd if person.domain == domain][:4]
    return at_domain, [person for person in population.hundred if person.domain != domain][:4]


def test_addresses_at_a_suppressed_domain_are_neither_probed_nor_charged(
    client: Client, population: Population, internet: Internet
) -> None:
    at_domain, elsewhere = people_at_two_domains(population)
    post(client, LIST, entries=[at_domain[0].domain])
    internet.reset_counts()

    state = client.finished(client.create([*at_domain, *elsewhere]))

    assert internet.counts.recipients.get(at_domain[0].domain, 0) == 0
    assert state["gap_report"]["reasons"]["suppressed"]["count"] == len(at_domain)
    assert state["preview"]["pricing"]["rebate_credits"] >= 4 * len(at_domain)


def test_a_run_of_suppressed_contacts_sends_no_packet(client: Client, internet: Internet) -> None:
    emails = [f"person{n}@suppressed{n}.test" for n in range(5)]
    post(client, LIST, entries=emails)
    internet.reset_counts()
    contacts = [{"email": email} for email in emails]

    run_id = client.api.create_run(contacts, "verify_existing_emails", preview_rows=5)
    state = client.finished(run_id)

    counts = internet.counts
    assert (counts.dns_queries, counts.commands("RCPT")) == (0, 0)
    assert {contact["email"] for contact in state["result_handles"]} == {None}
    assert state["preview"]["pricing"]["net_credits"] == 0


def test_a_suppressed_address_is_not_in_the_results_of_the_next_run(
    client: Client, population: Population, found: tuple[str, list[dict[str, Any]]]
) -> None:
    email = found[1][0]["email"]
    post(client, LIST, entries=[email])

    again = client.finished(client.create(population.hundred[:8], preview_rows=8))["result_handles"]

    suppressed = next(each for each in again if each["crm_id"] == found[1][0]["crm_id"])
    assert (suppressed["email"], suppressed["email_reason"]) == (None, "suppressed")
    assert email not in [each["email"] for each in again]


def test_each_account_has_its_own_list(client: Client, stranger: Client) -> None:
    post(client, LIST, entries=["grace@alpha.test"])

    assert post(client, f"{LIST}/check", entries=["Grace+x@alpha.test", "beta.test"]) == {"suppressed": [True, False]}
    assert post(stranger, f"{LIST}/check", entries=["grace@alpha.test"]) == {"suppressed": [False]}
    assert stranger.http.get(LIST).json() == {"entries": [], "total": 0, "next": None}


def test_an_unusable_entry_is_named_and_nothing_is_changed(client: Client) -> None:
    response = client.http.post(LIST, json={"entries": ["grace@alpha.test", "no entry"]})

    assert response.status_code == 422
    assert response.json()["detail"].startswith("entry 2: neither an address")
    assert client.http.get(LIST).json()["total"] == 0
    assert client.http.post(LIST, content=b"{").status_code == 400


def test_a_file_is_imported_and_each_unusable_line_is_named(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "opted-out.csv"
    file.write_text("name,email\nGrace,grace@alpha.test\nAda,not an address\n\nEve,eve@alpha.test\n")

    done = growth(client, "suppressions", "import", str(file))

    assert done.returncode == 1
    assert "Line 3: neither an address" in done.stderr
    assert "2 new on the list" in done.stdout
    listed = list(csv.DictReader(io.StringIO(growth(client, "suppressions", "list").stdout)))
    assert [row["kind"] for row in listed] == ["address", "address"]
    assert "1 taken off" in growth(client, "suppressions", "remove", "eve@alpha.test").stdout
    assert growth(client, "suppressions", "check", "eve@alpha.test").returncode == 1


def exports(stack: Stack, run_id: str) -> str:
    place = Path(stack.engine.environment["EXPORT_DIR"]) / run_id
    return "".join(path.read_text() for path in place.iterdir())


@pytest.mark.parametrize("by", ["address", "name"])
def test_an_erased_person_leaves_no_trace(
    client: Client,
    stack: Stack,
    stack_database: Database,
    stack_redis: redis.Redis,
    found: tuple[str, list[dict[str, Any]]],
    by: str,
) -> None:
    run_id, contacts = found
    contact = contacts[0]
    name = f"{contact['first_name']} {contact['last_name']}"
    person = {"email": contact["email"]} if by == "address" else {"full_name": name, "domain": contact["domain"]}
    before = client.api.read_run(run_id)

    done = post(client, ERASURES, people=[person])

    assert (done["run_ids"], done["contacts"]) == ([run_id], 1)
    wait_until(lambda: len(client.api.read_run(run_id)["export_handles"]) == 2)
    mine = [row for row in all_rows(stack_database).splitlines() if run_id in row]
    state = json.dumps(client.api.read_run(run_id), indent=0, ensure_ascii=False)
    for output in ("\n".join(mine), exports(stack, run_id), state):
        assert contact["email"] not in output
        assert [
            line for line in output.splitlines() if contact["first_name"] in line and contact["last_name"] in line
        ] == []
    assert contact["email"] not in "\n".join(copy for copy in all_copies(stack_redis).splitlines() if run_id in copy)
    after = client.api.read_run(run_id)
    for key in ("status", "stage_status", "preview", "data_source_mix", "gap_report"):
        assert after[key] == before[key]
    assert {handle["rows"] for handle in after["export_handles"]} == {7}
    assert client.api.read_events(run_id)[-2]["kind"] == "erased"
    assert post(client, f"{LIST}/check", entries=[contact["email"]]) == {"suppressed": [True]}


def test_a_person_is_erased_from_a_running_run(client: Client, population: Population) -> None:
    people = population.crowd[:100]
    person = people[0]
    run_id = client.create(people)

    post(client, ERASURES, people=[{"full_name": f"{person.first_name} {person.last_name}", "domain": person.domain}])

    state = client.finished(run_id, seconds=90)
    assert state["status"] == "completed"
    wait_until(lambda: bool(client.api.read_run(run_id)["export_handles"]))
    handle = client.api.read_run(run_id)["export_handles"][0]
    assert handle["rows"] == len(people) - _namesakes(people, person)
    assert person.crm_id not in client.http.get(handle["download_url"]).text.split(",")


def _namesakes(people: Sequence[Person], person: Person) -> int:
    same = (person.first_name, person.last_name, person.domain)
    return sum((each.first_name, each.last_name, each.domain) == same for each in people)


def test_an_erasure_does_not_touch_the_runs_of_other_accounts(
    client: Client, stranger: Client, found: tuple[str, list[dict[str, Any]]]
) -> None:
    contact = found[1][0]

    done = post(stranger, ERASURES, people=[{"email": contact["email"]}])

    assert (done["run_ids"], done["contacts"]) == ([], 0)
    assert contact["email"] in str(client.api.read_run(found[0])["result_handles"])


def test_the_command_erases_and_prints_how_much(client: Client, found: tuple[str, list[dict[str, Any]]]) -> None:
    done = growth(client, "erase", found[1][0]["email"], "--yes")

    assert "Erased 1 contacts in 1 runs" in " ".join(done.stdout.split()), done.stderr
