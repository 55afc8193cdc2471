"""The engine's work as operators see it: who holds which contacts, and what is left of all of it."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from models.database import Database
from tests.factories import expired_chunk, leased_chunk, pending_run, started_run
from web.views.memory import Memory
from web.views.operations import Operations, View


@pytest.fixture
def look(database: Database) -> Operations:
    return Operations(database, Memory(), lambda: datetime.now(UTC))


def seen(look: Operations) -> View:
    """What is seen at the first look; the next one would show the same for a second."""
    return look.look()


def test_nothing_to_do_is_seen_as_nothing(look: Operations) -> None:
    view = seen(look)

    assert (view.load.to_go, view.load.running, view.runs, view.workers, view.hosts) == (0, 0, [], [], [])
    assert view.seconds_left is None


def test_what_is_left_is_summed_over_all_accounts(database: Database, look: Operations) -> None:
    pending_run(database, 3)
    started_run(database, 5)

    view = seen(look)

    assert (view.load.pending, view.load.running, view.load.to_go) == (1, 1, 16)
    assert [row.run.to_go for row in view.runs] == [10, 6]


def test_a_worker_is_named_with_what_it_holds(database: Database, look: Operations) -> None:
    run_id = started_run(database, 5, chunk_size=2)
    leased_chunk(database, run_id, worker="worker-a")
    leased_chunk(database, run_id, worker="worker-a")

    [worker] = seen(look).workers

    assert (worker.name, worker.state, worker.contacts) == ("worker-a", "working", 4)
    assert [(held.run_id, held.stage, held.chunks) for held in worker.holdings] == [(run_id, "email_lookup", 2)]


def test_a_worker_whose_leases_have_ended_is_silent(database: Database, look: Operations) -> None:
    expired_chunk(database, started_run(database))

    [worker] = seen(look).silent

    assert worker.state == "silent"


def test_all_who_look_within_a_second_see_the_same(database: Database, look: Operations) -> None:
    first = look.look()
    pending_run(database)

    assert look.look() is first


def test_a_run_that_has_ended_is_not_at_work(database: Database, look: Operations) -> None:
    run_id = pending_run(database)
    with database.transaction() as session:
        session.execute(
            text("UPDATE runs SET status = 'cancelled', finished_at = now() WHERE id = :id"), {"id": run_id}
        )

    assert seen(look).runs == []
