"""Reads an export file with a program that had no part in writing it, and says which rows came out.

`python -m bench.peers.reading READER FORMAT FILE` prints one line of JSON: how many rows there are, a digest of all of
their cells in their order, and one of the columns that are `CHECKED`. The digests of two readers are equal if they read
the same rows. Each cell is compared as text: a format without types can't tell 95 from "95", nor nothing from "".
"""

import csv
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

CHECKED = ("full_name", "input_email", "CRM ID", "Note", "email_status")
"""The columns whose values are known before: the client's own, and what the sandbox's mail servers say."""
LONGEST_CELL = 1 << 20
AT_ONCE = 10_000

Rows = Iterable[Sequence[Any]]
"""The header, then the rows."""


class Digest:
    """Which rows there are: their number, and hashes of their cells in order."""

    def __init__(self) -> None:
        self.rows = 0
        self._all, self._checked = hashlib.sha256(), hashlib.sha256()

    def add(self, cells: Sequence[str], checked: Sequence[str]) -> None:
        self.rows += 1
        self._all.update(_joined(cells))
        self._checked.update(_joined(checked))

    def to_json(self) -> dict[str, Any]:
        return {"rows": self.rows, "all": self._all.hexdigest(), "checked": self._checked.hexdigest()}


def digest_of(rows: Rows, clean: Callable[[str], str] = str) -> dict[str, Any]:
    """The digest of a header and rows. `clean` takes from a cell what a format adds to it."""
    digest, every = Digest(), iter(rows)
    header = list(next(every))
    places = [header.index(name) for name in CHECKED]
    for row in every:
        cells = ["" if cell is None else clean(str(cell)) for cell in row]
        digest.add(cells, [cells[place] for place in places])
    return {"columns": len(header), **digest.to_json()}


def _joined(cells: Sequence[str]) -> bytes:
    return ("\x1f".join(cells) + "\x1e").encode()


def without_apostrophe(cell: str) -> str:
    """What Excel shows of a cell that CSV for Excel keeps from being run or changed."""
    return cell.removeprefix("'")


def _standard_csv(path: Path) -> Iterator[Sequence[str]]:
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.reader(file)


def _standard_ndjson(path: Path) -> Iterator[Sequence[Any]]:
    with path.open(encoding="utf-8") as file:
        yield from _of_objects(map(json.loads, file))


def _standard_json(path: Path) -> Iterator[Sequence[Any]]:
    with path.open(encoding="utf-8") as file:
        yield from _of_objects(iter(json.load(file)))


def _of_objects(objects: Iterator[Mapping[str, Any]]) -> Iterator[Sequence[Any]]:
    """Rows of objects that leave out what a contact does not have; the columns are those of the first."""
    first = next(objects)
    columns = list(first)
    yield columns
    yield list(first.values())
    for each in objects:
        if not each.keys() <= first.keys():
            raise SystemExit(f"columns {each.keys() - first.keys()} are not those of the first object")
        yield [each.get(column) for column in columns]


def _polars(read: Callable[[Any, Path], Any]) -> Callable[[Path], Iterator[Sequence[Any]]]:
    def rows(path: Path) -> Iterator[Sequence[Any]]:
        import polars

        frame = read(polars, path)
        yield frame.columns
        yield from frame.iter_rows()

    return rows


def _duckdb(query: str) -> Callable[[Path], Iterator[Sequence[Any]]]:
    def rows(path: Path) -> Iterator[Sequence[Any]]:
        import duckdb

        with closing(duckdb.connect()) as connection:
            result = connection.execute(query, [str(path)])
            yield [column[0] for column in result.description]
            while some := result.fetchmany(AT_ONCE):
                yield from some

    return rows


def _calamine(path: Path) -> Iterator[Sequence[Any]]:
    import python_calamine

    yield from (map(_shown, row) for row in python_calamine.load_workbook(path).get_sheet_by_index(0).iter_rows())  # type: ignore[misc]


def _shown(value: Any) -> Any:
    """A workbook's numbers are all floats; people see 95."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_CSV = {
    "csv": _standard_csv,
    "polars": _polars(lambda polars, path: polars.read_csv(path, infer_schema=False)),
    "duckdb": _duckdb("SELECT * FROM read_csv(?, all_varchar=true, header=true, delim=',', quote='\"', escape='\"')"),
}
READERS: Mapping[str, Mapping[str, Callable[[Path], Rows]]] = {
    "csv": _CSV,
    "excel": _CSV,
    "ndjson": {
        "json": _standard_ndjson,
        "polars": _polars(lambda polars, path: polars.read_ndjson(path, infer_schema_length=None)),
        "duckdb": _duckdb("SELECT * FROM read_json(?, format='newline_delimited', convert_strings_to_integers=false)"),
    },
    "json": {
        "json": _standard_json,
        "polars": _polars(lambda polars, path: polars.read_json(path, infer_schema_length=None)),
        "duckdb": _duckdb("SELECT * FROM read_json(?, format='array', convert_strings_to_integers=false)"),
    },
    "parquet": {
        "polars": _polars(lambda polars, path: polars.read_parquet(path)),
        "duckdb": _duckdb("SELECT * FROM read_parquet(?)"),
    },
    "xlsx": {"calamine": _calamine},
}
"""Who reads which format."""


def main() -> None:
    """Read a file, and print what came out."""
    reader, name, path = sys.argv[1:]
    began = time.monotonic()
    clean = without_apostrophe if name == "excel" else str
    read = digest_of(READERS[name][reader](Path(path)), clean)
    print(json.dumps({**read, "seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main()
