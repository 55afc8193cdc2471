"""A second run over the same addresses, through the whole engine: mail servers are not asked again."""

from collections.abc import Sequence

import pytest

from sandbox.internet import Internet
from sandbox.people import Person
from tests.integration.conftest import Client, Population


@pytest.fixture
def people(population: Population) -> Sequence[Person]:
    return [person for person in population.hundred if person.verdict == "valid"][:20]


def verified(client: Client, people: Sequence[Person], **output: bool) -> int:
    """Verify these people's addresses in a run of their own; how many are valid."""
    contacts = [{"email": person.email} for person in people]
    plan = {
        "pipeline_id": "email_discovery_v1",
        "preset": "verify_existing_emails",
        "input_assets": {"contacts": contacts},
        "output": output,
    }
    created = client.http.post("/api/v1/growth/run", json={"goal_plan": plan}).json()
    return int(client.finished(created["run_id"])["preview"]["delivered_counts"]["verified_emails"])


def test_only_the_first_run_and_one_that_wants_fresh_verdicts_ask_mail_servers(
    client: Client, stranger: Client, people: Sequence[Person], internet: Internet
) -> None:
    asked = []
    for who, output in ((client, {}), (client, {}), (client, {"fresh": True}), (stranger, {})):
        internet.reset_counts()
        assert verified(who, people, **output) == len(people)
        asked.append(internet.counts.commands("RCPT") > 0)

    assert asked == [True, False, True, True]
