"""A run completes in spite of any fault of servers or the network."""

from uuid import UUID

import pytest
from sqlalchemy import text

from tests.faults.engine import FaultEngine
from tests.faults.injections.postgres import fail_loading, postgres_down
from tests.faults.injections.valkey import flush_redis, valkey_down
from tests.faults.rounds import OUTAGE_SECONDS, Plan, play, play_alone
from tests.faults.scene import Fault

pytestmark = pytest.mark.proof

CHOSEN = (flush_redis, valkey_down, postgres_down, fail_loading)


@pytest.mark.parametrize("fault", CHOSEN, ids=lambda fault: fault.__name__)
def test_a_run_survives(fault_engine: FaultEngine, fault: Fault) -> None:
    verdict = play_alone(fault_engine, fault)

    assert verdict.injected == (fault.__name__,)
    assert verdict.violations == ()


def test_a_run_survives_mail_servers_that_hang_reset_and_answer_garbage(fault_engine: FaultEngine) -> None:
    verdict = play(fault_engine, Plan({}, OUTAGE_SECONDS, hostile=True))

    assert verdict.violations == ()
    assert verdict.run_id is not None
    hostile = {person.domain for person in fault_engine.world.hostile_people}
    assert statuses_at(fault_engine, verdict.run_id, hostile) == {"not_found": len(fault_engine.world.hostile_people)}


def statuses_at(engine: FaultEngine, run_id: UUID, domains: set[str]) -> dict[str, int]:
    query = """
        SELECT status, count(*) AS contacts FROM outcomes JOIN contacts USING (run_id, position)
        WHERE run_id = :run_id AND stage = 'email_lookup' AND domain = ANY(:domains) GROUP BY status
    """
    with engine.database.transaction() as session:
        rows = session.execute(text(query), {"run_id": run_id, "domains": list(domains)})
        return {row.status: row.contacts for row in rows}
