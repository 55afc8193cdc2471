"""A run whose chain is sent twice, whose Redis is flushed, or which gets a second worker: no result is duplicated."""

from collections.abc import Callable
from uuid import UUID

import pytest
import redis
from sqlalchemy import text

from models.database import Database
from models.queries import events_of_run
from models.wire import ContactIn
from pipeline.credits import RateCard
from pipeline.runs.create import create_run
from tests.factories import count, order_of
from tests.integration.conftest import Client, Population, contacts_of

pytestmark = pytest.mark.proof


def assert_each_result_exists_once(database: Database, run_id: str, contacts: int) -> None:
    with database.transaction() as session:
        per_stage = session.execute(
            text("SELECT stage, count(*), count(DISTINCT position) FROM outcomes WHERE run_id = :id GROUP BY stage"),
            {"id": run_id},
        ).all()
        assert sorted(tuple(row) for row in per_stage) == [
            ("email_lookup", contacts, contacts),
            ("email_verify", contacts, contacts),
        ]
        for kind in ("charge", "rebate"):
            query = "SELECT count(*) FROM credit_ledger WHERE run_id = :id AND kind = :kind"
            assert count(session, query, id=run_id, kind=kind) == 1
        query = "SELECT count(*) FROM artifacts WHERE run_id = :id AND asset_id = 'verified_contacts'"
        assert count(session, query, id=run_id) == 1
        query = "SELECT count(*) FROM run_events WHERE run_id = :id AND kind = 'completed'"
        assert count(session, query, id=run_id) == 1
        balance = "SELECT credit_balance FROM accounts a JOIN runs r ON r.account_id = a.id WHERE r.id = :id"
        ledger = "SELECT sum(credits) FROM credit_ledger l JOIN runs r USING (account_id) WHERE r.id = :id"
        assert count(session, balance, id=run_id) == count(session, ledger, id=run_id)


def test_a_chain_that_is_sent_several_times_gives_each_result_once(
    client: Client, population: Population, stack_database: Database, send_chains: Callable[[str, int], None]
) -> None:
    run_id = client.create(population.crowd)

    send_chains(run_id, 3)

    state = client.finished(run_id)
    send_chains(run_id, 2)
    client.finished(client.create(population.hundred))

    assert state["status"] == "completed"
    assert_each_result_exists_once(stack_database, run_id, len(population.crowd))
    assert client.api.read_run(run_id) == state


def test_two_workers_work_on_one_run(client: Client, population: Population, stack_database: Database) -> None:
    run_id = client.create(population.crowd)

    client.finished(run_id)

    with stack_database.transaction() as session:
        events = events_of_run(session, UUID(run_id))
    workers = {event.worker.partition("@")[0] for event in events if event.kind == "chunk_leased" and event.worker}
    assert workers == {"worker-1", "worker-2"}


def test_after_flushall_readers_are_answered_and_the_run_completes(
    client: Client, population: Population, stack_redis: redis.Redis, stack_database: Database
) -> None:
    run_id = client.create(population.crowd)
    before = client.states(run_id, until=lambda state: state["progress"]["percent"] >= 10)[-1]

    stack_redis.flushall()

    after = client.api.read_run(run_id)
    assert after["progress"]["percent"] >= before["progress"]["percent"]
    assert client.finished(run_id)["status"] == "completed"
    assert_each_result_exists_once(stack_database, run_id, len(population.crowd))


def test_a_finished_run_is_read_from_postgres_when_redis_has_lost_it(
    client: Client, population: Population, stack_redis: redis.Redis
) -> None:
    run_id = client.create(population.hundred)
    state = client.finished(run_id)

    stack_redis.flushall()

    assert client.api.read_run(run_id) == state


def test_a_run_whose_chain_was_lost_before_it_started_is_sent_by_the_sweeper(
    client: Client, population: Population, stack_redis: redis.Redis, stack_database: Database
) -> None:
    with stack_database.transaction() as session:
        people = [ContactIn.model_validate(contact) for contact in contacts_of(population.hundred)]
        run_id = str(create_run(session, client.account.account_id, order_of(people), rate_card=RateCard()).run_id)

    assert client.finished(run_id)["status"] == "completed"
    with stack_database.transaction() as session:
        assert "resent" in {event.kind for event in events_of_run(session, UUID(run_id))}
