"""The engine that benchmarks measure is the engine: its runs are completed, whatever its workers are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.proof


def test_a_run_of_each_mode_is_completed_with_all_contacts_verified(project_root: Path) -> None:
    command = [sys.executable, "-m", "bench.contenders.once", "Z:30", "R:30", "S:20", "T:10"]

    done = subprocess.run(command, cwd=project_root, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout.splitlines()[-1])["seconds"]) == 4
