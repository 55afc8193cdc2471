"""A run completes whichever process is killed, frozen or has a wrong clock, and however often the chain is sent.

`invariants.judge` has the checks after each fault, `bounds.BOUNDS` the bounds. Faults of servers are in
`test_faults_outside.py`. `make faults ALONE=1` injects each fault alone, `make faults` several at random.
"""

import pytest

from tests.faults.bounds import is_possible
from tests.faults.engine import FaultEngine
from tests.faults.injections.clocks import jump_worker_clock
from tests.faults.injections.messages import send_chain_three_times
from tests.faults.injections.processes import (
    freeze_worker,
    kill_all_workers,
    kill_sweeper,
    kill_worker,
    kill_worker_process,
)
from tests.faults.machine.clocks import CAN_NOT_JUMP
from tests.faults.rounds import OUTAGE_SECONDS, Plan, play, play_alone
from tests.faults.scene import Fault

pytestmark = pytest.mark.proof

CHOSEN = (
    kill_worker_process,
    kill_worker,
    kill_all_workers,
    kill_sweeper,
    freeze_worker,
    jump_worker_clock,
    send_chain_three_times,
)


@pytest.mark.parametrize("fault", CHOSEN, ids=lambda fault: fault.__name__)
def test_a_run_survives(fault_engine: FaultEngine, fault: Fault) -> None:
    if not is_possible(fault):
        pytest.skip(CAN_NOT_JUMP)

    verdict = play_alone(fault_engine, fault)

    assert verdict.injected == (fault.__name__,)
    assert verdict.violations == ()


def test_a_run_survives_its_creators_death_between_commit_and_enqueue(fault_engine: FaultEngine) -> None:
    verdict = play(fault_engine, Plan({}, OUTAGE_SECONDS, creator_dies=True))

    assert verdict.injected == ("create_run_and_die",)
    assert verdict.violations == ()
