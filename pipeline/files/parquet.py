"""Reads Parquet files, some rows at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import UnusableFile
from pipeline.files.ndjson import cell
from pipeline.files.rows import MAX_ROW_CHARS, TOO_LONG, Row

ROWS_AT_ONCE = 2_000


def read_header(path: Path, name: str) -> list[str]:
    """The names of the columns. Raises `UnusableFile`."""
    with _opened(path, name) as file:
        return list(file.schema_arrow.names)


def read_records(path: Path, name: str) -> Iterator[Row]:
    """Yield a row for each record; the first one is row 1. Raises `UnusableFile`."""
    number = 0
    with _opened(path, name) as file:
        for values in _records(file, name):
            number += 1
            cells = [_text(value) for value in values]
            is_long = sum(map(len, cells)) > MAX_ROW_CHARS
            yield Row(number, [each[:200] for each in cells] if is_long else cells, TOO_LONG if is_long else "")


def _records(file: Any, name: str) -> Iterator[tuple[Any, ...]]:
    import pyarrow

    try:
        for batch in file.iter_batches(ROWS_AT_ONCE, use_threads=False):
            yield from zip(*map(_values, batch.columns), strict=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise UnusableFile(f"{name} is a damaged Parquet file: copy or download it again.") from error


def _values(column: Any) -> list[Any]:
    import pyarrow

    if not isinstance(column, pyarrow.DictionaryArray):
        values: list[Any] = column.to_pylist()
        return values
    # One copy of each different value: a small file may repeat a long one a million times.
    different = [*column.dictionary.to_pylist(), None]
    return [different[-1 if index is None else index] for index in column.indices.to_pylist()]


def _opened(path: Path, name: str) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        # Without a buffer for whole row groups, of which a file may have only one.
        options = {"pre_buffer": False, "buffer_size": 1 << 20}
        with parquet.ParquetFile(path, **options) as file:
            texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
        return parquet.ParquetFile(path, read_dictionary=texts, **options)
    except (pyarrow.ArrowException, OSError) as error:
        raise UnusableFile(f"{name} is a damaged Parquet file: copy or download it again.") from error


def _is_text(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_binary(kind))


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else cell(value).strip('"')
