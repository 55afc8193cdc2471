"""A contact that kills every process that works it gets an internal error, and the run continues."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.client import ApiClient
from cli.local.processes import worker_command
from cli.local.stack import Ports, Stack, running_stack
from sandbox.internet import Internet
from tests.integration.conftest import Population, contacts_of

pytestmark = pytest.mark.proof

KILLER = "Killer"


@pytest.fixture
def fragile_stack(internet: Internet, servers_home: Path, project_root: Path) -> Iterator[Stack]:
    """An engine whose workers are killed by one contact. Short leases keep the test short."""
    settings = {
        **internet.settings(),
        "PYTHONPATH": str(project_root),
        "KILLER": KILLER,
        "LEASE_SECONDS": "1.5",
        "CHECKPOINT_SECONDS": "0.5",
        "SWEEP_SECONDS": "0.25",
    }
    with running_stack(servers_home / "fragile", Ports(0, 0), workers=0, settings=settings) as running:
        command = [
            part.replace("worker.app", "tests.integration.broker.killer_app") for part in worker_command("fragile", 2)
        ]
        running.engine.start("fragile", *command)
        yield running


def test_the_contact_at_fault_is_named_and_all_others_are_worked(fragile_stack: Stack, population: Population) -> None:
    contacts = [dict(contact) for contact in contacts_of(population.hundred)]
    contacts[40]["last_name"] = KILLER
    with ApiClient(fragile_stack.credentials) as client:
        run_id = client.create_run(contacts, "full_pipeline")

        def is_finished() -> bool:
            return client.read_run(run_id)["status"] in {"completed", "failed"}

        fragile_stack.engine.wait_until(is_finished, "the run", seconds=90)
        state = client.read_run(run_id)
        kinds = [event["kind"] for event in client.read_events(run_id)]

    assert state["status"] == "completed"
    assert state["gap_report"]["reasons"]["internal_error"]["count"] == 1
    assert state["preview"]["delivered_counts"]["delivered_contacts"] >= 94
    assert "chunk_split" in kinds
