"""Remembers which file a run was submitted from, so that its results can be put behind the file's own rows."""

import csv
import hashlib
import io
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from cli.client import ApiClient
from cli.downloads import save_export, save_whole
from cli.submission import Reading, open_submission
from cli.whole_file import Unwritable, whole_file
from pipeline.errors import UnusableFile
from pipeline.files.own_rows import RESULT_COLUMNS, result_header, result_rows

FOLDER = "submitted"


@dataclass(frozen=True, slots=True)
class Submitted:
    """A file that was submitted, and how it was read."""

    path: str
    sha256: str
    preset: str
    mapping: Mapping[str, str]
    encoding: str | None
    knows_companies: bool = True

    def check(self) -> None:
        """Check that the file is still there, as it was sent. Raises `UnusableFile`."""
        path = Path(self.path)
        if not path.is_file() or _digest(path) != self.sha256:
            raise UnusableFile(f"{path.name} has changed since it was sent, or is gone.")


def remember(home: Path, run_id: str, path: Path, reading: Reading) -> None:
    """Remember the file of a run, if it can be read again. Without that, exports are as the API writes them."""
    if not path.is_file():
        return
    mapping, knows = dict(reading.mapping), reading.knows_companies
    submitted = Submitted(str(path.resolve()), _digest(path), reading.preset, mapping, reading.encoding, knows)
    with suppress(OSError, Unwritable):
        (home / FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
        with whole_file(_place(home, run_id), mode=0o600) as file:
            file.write(json.dumps(asdict(submitted), indent=1).encode())


def recall(home: Path, run_id: str) -> Submitted | None:
    """The file that a run was submitted from, None if that is not known."""
    with suppress(OSError, ValueError, TypeError):
        return Submitted(**json.loads(_place(home, run_id).read_text(encoding="utf-8")))
    return None


def save_own_rows(client: ApiClient, run_id: str, handle: Mapping[str, Any], submitted: Submitted, place: Path) -> int:
    """Write the rows of the submitted file with their results; return how many. `handle` is the run's CSV export.

    Raises `ApiError`, `Unwritable`, and `UnusableFile` if the file does not fit the run; nothing is written then.
    """
    submitted.check()
    reading = Reading(submitted.preset, submitted.mapping, submitted.encoding, submitted.knows_companies)
    reader = open_submission(Path(submitted.path), reading)
    written = 0

    def write(file: BinaryIO) -> None:
        nonlocal written
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text)
        writer.writerow(result_header(reader.table.header))
        for row in result_rows(reader, _results(Path(folder) / "export.csv")):
            writer.writerow(row)
            written += 1
        text.detach()

    with tempfile.TemporaryDirectory() as folder:
        save_export(client, run_id, handle, Path(folder) / "export.csv")
        save_whole(place, write)
    return written


def _results(export: Path) -> Iterator[list[str]]:
    """Yield our columns of each row of an export. They are its last ones of that name, with or without prefix."""
    with export.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        places = _places(next(rows, []))
        for row in rows:
            yield [row[place] for place in places]


def _places(header: Sequence[str]) -> list[int]:
    names = [title.removeprefix("growth_") for title in header]
    if not set(RESULT_COLUMNS) <= set(names):
        raise UnusableFile("This run's export lacks some of the columns of results.")
    return [len(names) - 1 - names[::-1].index(name) for name in RESULT_COLUMNS]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _place(home: Path, run_id: str) -> Path:
    return home / FOLDER / f"{UUID(run_id)}.json"
