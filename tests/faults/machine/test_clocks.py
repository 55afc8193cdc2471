"""The clocks of the fault suite do what a real step of a clock does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.machine.clocks import CAN_JUMP, CAN_NOT_JUMP, Clocks

SAY_TIME = """
import sys, time
for _ in sys.stdin:
    began = time.monotonic()
    time.sleep(0.1)
    print(time.time(), time.monotonic() - began, flush=True)
"""


@pytest.mark.skipif(not CAN_JUMP, reason=CAN_NOT_JUMP)
def test_a_running_process_feels_a_jump_of_its_wall_clock_and_waits_as_long_as_before(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path / "clocks")
    environment = {**os.environ, **clocks.settings_of("process")}
    with subprocess.Popen(
        [sys.executable, "-c", SAY_TIME], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        before, _ = say_time(process)
        clocks.jump("process", 6 * 3600)
        ahead, wait_ahead = say_time(process)
        clocks.jump("process", -6 * 3600)
        behind, wait_behind = say_time(process)
        process.communicate()

    assert ahead - before == pytest.approx(6 * 3600, abs=60)
    assert behind - before == pytest.approx(-6 * 3600, abs=60)
    assert wait_ahead == pytest.approx(0.1, abs=30)
    assert wait_behind == pytest.approx(0.1, abs=30)


def say_time(process: "subprocess.Popen[str]") -> tuple[float, float]:
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    wall, waited = process.stdout.readline().split()
    return float(wall), float(waited)
