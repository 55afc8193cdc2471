"""Uploads that are made to exhaust whoever reads them are refused, or cost a row; memory stays flat, no row is left."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from models.database import Database
from tests.unit.files import hostile
from tests.unit.uploads.uploading import rows, temporary_files

MOST_MB = 350
"""What a process has at most that reads them all, one after the other. With its libraries alone it has 100."""

REFUSED: Mapping[Callable[[Path], None], str] = {
    hostile.gzip_of_10_gb_of_rows: "unpacks to more than 64,000,000 bytes: split it",
    hostile.gzip_of_10_gb_in_one_line: "unpacks to more than 64,000,000 bytes: split it",
    hostile.zstd_of_10_gb_of_rows: "unpacks to more than 64,000,000 bytes: split it",
    hostile.workbook_of_10_gb: "is damaged or cut off",
    hostile.workbook_that_repeats_a_text: "holds more than 1 GB of text",
    hostile.spreadsheet_that_repeats_a_row: "has 1,000,000 rows of 1,000 columns",
    hostile.header_of_10_000_columns: "has 10,000 columns, the most is 1,000",
    hostile.object_of_10_000_names: "has more than 1,000 different columns",
}
PARTLY_READ = {**hostile.PARTLY_READ}
del PARTLY_READ[hostile.parquet_that_repeats_10_mb]  # All of its rows are rejected: it is refused.


@pytest.mark.proof
def test_hostile_files_are_refused_or_cost_a_row_in_bounded_memory(
    database: Database, database_url: str, owner: UUID, tmp_path: Path
) -> None:
    makers = [*REFUSED, *PARTLY_READ]
    for make in makers:
        make(tmp_path / make.__name__)
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-m", "tests.unit.uploads.reading_process", database_url, str(owner)]
    environment = {"PYTHONPATH": str(Path(hostile.__file__).parents[3]), "TMPDIR": str(tmp_path / "temporary")}

    done = subprocess.run(
        [*command, *(make.__name__ for make in makers)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    for make, sentence in REFUSED.items():
        assert sentence in str(found[make.__name__]["refused"]), found[make.__name__]
    for make, (contacts, reason) in PARTLY_READ.items():
        of_file = found[make.__name__]
        assert (of_file["contacts"], of_file["reason"][: len(reason)]) == (contacts, reason), of_file
    refused = [name for name, of_file in found.items() if of_file["refused"]]
    left = "SELECT name FROM uploads u JOIN upload_rows r ON r.upload_id = u.id WHERE name = ANY(:names)"
    assert rows(database, left, names=refused) == []
    assert temporary_files(tmp_path / "temporary") == []
    peaks = {name: of_file["peak_mb"] for name, of_file in found.items()}
    assert max(peaks.values()) < MOST_MB, peaks
