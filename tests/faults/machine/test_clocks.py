"""The clocks of the fault suite behave like a real clock that is stepped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.machine.clocks import CAN_JUMP, CAN_NOT_JUMP, Clocks

PRINT_TIMES = """
import sys, time
for _ in sys.stdin:
    start = time.monotonic()
    time.sleep(0.1)
    print(time.time(), time.monotonic() - start, flush=True)
"""


@pytest.mark.skipif(not CAN_JUMP, reason=CAN_NOT_JUMP)
def test_a_running_process_sees_a_jump_of_its_wall_clock_and_waits_as_long_as_before(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path / "clocks")
    environment = {**os.environ, **clocks.settings_of("process")}
    with subprocess.Popen(
        [sys.executable, "-c", PRINT_TIMES], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        before, _ = read_times(process)
        clocks.jump("process", 6 * 3600)
        ahead, wait_ahead = read_times(process)
        clocks.jump("process", -6 * 3600)
        behind, wait_behind = read_times(process)
        process.communicate()

    assert ahead - before == pytest.approx(6 * 3600, abs=60)
    assert behind - before == pytest.approx(-6 * 3600, abs=60)
    assert wait_ahead == pytest.approx(0.1, abs=30)
    assert wait_behind == pytest.approx(0.1, abs=30)


def read_times(process: "subprocess.Popen[str]") -> tuple[float, float]:
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    wall, waited = process.stdout.readline().split()
    return float(wall), float(waited)
