"""The same promises with RabbitMQ as the broker."""

import pytest

from tests.faults.engine import FaultEngine
from tests.faults.injections.processes import kill_worker
from tests.faults.injections.rabbitmq import lose_queues, rabbitmq_down
from tests.faults.rounds import Plan, play
from tests.faults.scene import Fault
from tests.faults.test_faults import OUTAGE_SECONDS, STRIKE_AT_PERCENT


@pytest.mark.parametrize("fault", [kill_worker, rabbitmq_down, lose_queues], ids=lambda fault: fault.__name__)
def test_a_run_over_a_quorum_queue_survives(rabbitmq_engine: FaultEngine, fault: Fault) -> None:
    verdict = play(rabbitmq_engine, Plan({fault: STRIKE_AT_PERCENT}, OUTAGE_SECONDS))

    assert verdict.struck == (fault.__name__,)
    assert verdict.violations == ()
