"""Whatever dies in the middle of a run, it ends by itself, each contact counted once, each credit moved once.

What is checked after each fault, and the bounds: `invariants.judge`, `bounds.BOUNDS`. The longer, randomised
version is `python -m tests.faults`.
"""

from uuid import UUID

import pytest
from sqlalchemy import text

from tests.faults.bounds import is_possible
from tests.faults.clocks import CAN_NOT_JUMP
from tests.faults.engine import FaultEngine
from tests.faults.injections.clocks import jump_sweeper_and_api_clocks, jump_worker_clock
from tests.faults.injections.messages import send_chain_three_times
from tests.faults.injections.network import cut_off_worker
from tests.faults.injections.postgres import postgres_down
from tests.faults.injections.processes import (
    freeze_worker,
    kill_all_workers,
    kill_pool_process,
    kill_sweeper,
    kill_worker,
)
from tests.faults.injections.valkey import flush_redis, valkey_down, valkey_out_of_memory
from tests.faults.rounds import Plan, play
from tests.faults.scene import Fault

OUTAGE_SECONDS = 2
STRIKE_AT_PERCENT = 15

CHOSEN = (
    kill_pool_process,
    kill_worker,
    kill_all_workers,
    kill_sweeper,
    freeze_worker,
    flush_redis,
    valkey_down,
    valkey_out_of_memory,
    postgres_down,
    cut_off_worker,
    jump_worker_clock,
    jump_sweeper_and_api_clocks,
    send_chain_three_times,
)


@pytest.mark.parametrize("fault", CHOSEN, ids=lambda fault: fault.__name__)
def test_a_run_survives(fault_engine: FaultEngine, fault: Fault) -> None:
    if not is_possible(fault):
        pytest.skip(CAN_NOT_JUMP)

    verdict = play(fault_engine, Plan({fault: STRIKE_AT_PERCENT}, OUTAGE_SECONDS))

    print(f"at work again after {verdict.resume_s:.1f} s, claimed again: {verdict.claimed_again}")  # noqa: T201
    assert verdict.struck == (fault.__name__,)
    assert verdict.violations == ()


def test_a_run_survives_its_creators_death_between_commit_and_enqueue(fault_engine: FaultEngine) -> None:
    verdict = play(fault_engine, Plan({}, OUTAGE_SECONDS, creator_dies=True))

    assert verdict.struck == ("create_run_and_die",)
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
