"""Files that are made to exhaust whoever reads them are refused with a sentence, or cost a row; memory stays flat."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.files import hostile
from tests.unit.files.hostile import PARTLY_READ, REFUSED

MOST_MB = 350
"""What a process has at most that reads them all, one after the other. With its libraries alone it has 100."""

COMMAND = """
import sys
from cli.main import main
from tests.unit.files.reading_process import peak_mb
try:
    main()
finally:
    print(f"peak {peak_mb():.0f} MB", file=sys.stderr)
"""
"""`growth`, which says in the end how much memory it took."""

Read = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """What came of each file, by the name of what made it."""
    folder = tmp_path_factory.mktemp("hostile")
    makers = [*REFUSED, *PARTLY_READ]
    for make in makers:
        make(folder / make.__name__)
    command = [sys.executable, "-m", "tests.unit.files.reading_process", *(make.__name__ for make in makers)]
    root = Path(hostile.__file__).parents[3]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr
    for make in makers:
        (folder / make.__name__).unlink()
    found: Read = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", [make.__name__ for make in REFUSED])
def test_a_file_that_unfolds_to_more_than_anybody_has_is_refused(read: Read, name: str) -> None:
    sentence = {make.__name__: sentence for make, sentence in REFUSED.items()}[name]

    assert sentence in read[name].get("refused", read[name])


@pytest.mark.parametrize("name", [make.__name__ for make in PARTLY_READ])
def test_a_cell_or_a_row_that_is_too_large_costs_its_row(read: Read, name: str) -> None:
    contacts, reason = {make.__name__: wanted for make, wanted in PARTLY_READ.items()}[name]

    assert (read[name].get("contacts"), read[name].get("reason", "")[: len(reason)]) == (contacts, reason), read[name]


def test_memory_stays_flat_whatever_is_read(read: Read) -> None:
    assert max(each["peak_mb"] for each in read.values()) < MOST_MB, {
        name: each["peak_mb"] for name, each in read.items()
    }


@pytest.mark.proof
def test_the_command_refuses_the_same_files_and_stays_as_small(tmp_path: Path) -> None:
    for make in (*REFUSED, *PARTLY_READ):
        make(tmp_path / "file")

        done = subprocess.run(
            [sys.executable, "-c", COMMAND, "submit", "file", "--dry-run", "--home", "home"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(hostile.__file__).parents[3])},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        contacts, _ = PARTLY_READ.get(make, (0, ""))
        sentence = REFUSED.get(make) or f"{contacts} contacts would be sent"
        assert sentence in done.stdout + done.stderr, make.__name__
        assert done.returncode == (0 if contacts else 1), make.__name__
        assert int(done.stderr.split("peak ")[1].split()[0]) < MOST_MB, make.__name__
