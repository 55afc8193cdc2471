"""The same guarantees with RabbitMQ as the broker."""

from uuid import UUID

import pytest
from sqlalchemy import text

from pipeline.credits import RateCard
from pipeline.runs.create import create_run
from tests.factories import order
from tests.faults.engine import FaultEngine, wait_until
from tests.faults.injections.processes import kill_worker
from tests.faults.injections.rabbitmq import lose_queues
from tests.faults.rounds import OUTAGE_SECONDS, Plan, play
from tests.faults.scene import Scene

pytestmark = pytest.mark.proof


def test_a_run_over_a_quorum_queue_survives_a_worker_s_death_and_then_the_loss_of_its_queues(
    rabbitmq_engine: FaultEngine,
) -> None:
    verdict = play(rabbitmq_engine, Plan({kill_worker: 15, lose_queues: 50}, OUTAGE_SECONDS))

    assert verdict.injected == ("kill_worker", "lose_queues")
    assert verdict.violations == ()


def test_a_run_that_would_have_waited_for_an_hour_is_sent_again_when_all_queues_are_lost(
    rabbitmq_engine: FaultEngine,
) -> None:
    run_id = run_whose_pause_is_long(rabbitmq_engine)

    lose_queues(Scene(rabbitmq_engine, run_id, OUTAGE_SECONDS))

    wait_until(lambda: status_of(rabbitmq_engine, run_id) == "completed", "the run's end", seconds=60)


def run_whose_pause_is_long(engine: FaultEngine) -> UUID:
    """A run whose only message was waiting in the queue."""
    with engine.database.transaction() as session:
        run_id = create_run(session, engine.account.account_id, order(), rate_card=RateCard()).run_id
        session.execute(text("UPDATE runs SET resend_at = now() + interval '1 hour' WHERE id = :id"), {"id": run_id})
    return run_id


def status_of(engine: FaultEngine, run_id: UUID) -> str:
    with engine.database.transaction() as session:
        status: str = session.execute(text("SELECT status FROM runs WHERE id = :id"), {"id": run_id}).scalar_one()
        return status
