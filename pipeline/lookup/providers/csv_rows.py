"""Reads the CSV files that users keep with the engine, by column names, in any order, case and delimiter."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.errors import SourcesMisconfigured


def read_rows(path: Path, *required: str) -> Iterator[Mapping[str, str]]:
    """Yield the rows of a CSV file in UTF-8; keys are lower case, values stripped. Raises `SourcesMisconfigured`."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _rows(path, file.read(), required)
    except OSError as error:
        raise SourcesMisconfigured(
            f"{path} can't be read ({error.strerror}): correct the path or its owner."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourcesMisconfigured(f"{path} is not a CSV file in UTF-8: save it as one.") from error


def _rows(path: Path, text: str, required: tuple[str, ...]) -> Iterator[Mapping[str, str]]:
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    rows = csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter)
    columns = [name.strip().lower() for name in rows.fieldnames or ()]
    missing = [name for name in required if name not in columns]
    if missing:
        raise SourcesMisconfigured(f"{path} has no column {' and none '.join(missing)}: its first line names columns.")
    for row in rows:
        yield {str(key).strip().lower(): (value or "").strip() for key, value in row.items() if isinstance(value, str)}
