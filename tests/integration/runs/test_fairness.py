"""A small run waits for no chunk of another account's large run."""

from datetime import datetime
from uuid import UUID

from models.database import Database
from models.events import EventKind
from models.queries import events_of_run
from models.run_event import RunEvent
from tests.integration.conftest import Client, Population


def test_a_small_run_begins_while_chunks_are_at_work_that_were_leased_before_it_was_created(
    client: Client, stranger: Client, population: Population, stack_database: Database
) -> None:
    large = client.create(population.crowd)
    client.states(large, until=lambda state: state["progress"]["percent"] >= 5)

    small = stranger.create(population.hundred[:10])
    stranger.finished(small)
    client.api.cancel_run(large)

    with stack_database.transaction() as session:
        mine, others = (list(events_of_run(session, UUID(run_id))) for run_id in (small, large))
    created, begun = (first_of(mine, kind) for kind in (EventKind.CREATED, EventKind.CHUNK_LEASED))
    assert leased(others, created) - finished(others, begun)


def first_of(events: list[RunEvent], kind: EventKind) -> datetime:
    return next(event.at for event in events if event.kind == kind)


def leased(events: list[RunEvent], until: datetime) -> set[tuple[str | None, int]]:
    """The chunks that were leased by then."""
    return {key(event) for event in events if event.kind == EventKind.CHUNK_LEASED and event.at < until}


def finished(events: list[RunEvent], until: datetime) -> set[tuple[str | None, int]]:
    return {key(event) for event in events if event.kind == EventKind.CHUNK_FINISHED and event.at < until}


def key(event: RunEvent) -> tuple[str | None, int]:
    return event.stage, event.detail["chunk"]
