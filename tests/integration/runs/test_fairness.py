"""A small run waits for a free process, but not for the extra tasks of another account's large run."""

from uuid import UUID

from models.database import Database
from models.events import EventKind
from models.queries import events_of_run
from tests.integration.conftest import Client, Population

PROCESSES = 2


def test_a_small_run_waits_for_no_more_chunks_of_a_large_one_than_there_are_processes(
    client: Client, stranger: Client, population: Population, stack_database: Database
) -> None:
    large = client.create(population.crowd)
    client.states(large, until=lambda state: state["progress"]["percent"] >= 5)

    small = stranger.create(population.hundred[:10])
    stranger.finished(small)
    client.api.cancel_run(large)

    with stack_database.transaction() as session:
        mine, others = (events_of_run(session, UUID(run_id)) for run_id in (small, large))
    leases = [event.at for event in others if event.kind == EventKind.CHUNK_LEASED]
    created, leased = (
        next(event.at for event in mine if event.kind == kind) for kind in (EventKind.CREATED, EventKind.CHUNK_LEASED)
    )
    assert len([at for at in leases if created < at < leased]) <= PROCESSES
