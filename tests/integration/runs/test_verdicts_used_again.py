"""A second run over the same addresses does not probe them again."""

import time
from collections.abc import Sequence

import pytest
from sqlalchemy import text

from models.database import Database
from sandbox.internet import Internet
from sandbox.people import Person
from tests.integration.conftest import Client, Population

OPEN_RUNS = text("SELECT count(*) FROM runs WHERE finished_at IS NULL")


@pytest.fixture
def people(population: Population) -> Sequence[Person]:
    return [person for person in population.hundred if person.verdict == "valid"][:20]


@pytest.fixture
def idle_engine(stack_database: Database) -> None:
    """Wait for the end of other tests' runs, which use the same mail servers."""
    deadline = time.monotonic() + 60
    while _open_runs(stack_database):
        assert time.monotonic() < deadline, "runs of other tests are not over"
        time.sleep(0.1)


def _open_runs(database: Database) -> int:
    with database.transaction() as session:
        return int(session.execute(OPEN_RUNS).scalar_one())


def verified(client: Client, people: Sequence[Person], **output: bool) -> int:
    """Verify these people's addresses in a new run. Returns the number of valid ones."""
    contacts = [{"email": person.email} for person in people]
    plan = {
        "pipeline_id": "email_discovery_v1",
        "preset": "verify_existing_emails",
        "input_assets": {"contacts": contacts},
        "output": output,
    }
    created = client.http.post("/api/v1/growth/run", json={"goal_plan": plan}).json()
    return int(client.finished(created["run_id"])["preview"]["delivered_counts"]["verified_emails"])


@pytest.mark.usefixtures("idle_engine")
def test_only_a_first_run_and_one_with_fresh_verdicts_probe_mail_servers(
    client: Client, stranger: Client, people: Sequence[Person], internet: Internet
) -> None:
    domains, probed = {person.domain for person in people}, list[set[str]]()
    for account, output in ((client, {}), (client, {}), (client, {"fresh": True}), (stranger, {})):
        internet.reset_counts()
        assert verified(account, people, **output) == len(people)
        # Chunk tasks of cancelled runs may still be probing elsewhere.
        probed.append(domains & set(internet.counts.recipients))

    assert probed == [domains, set(), domains, domains]
