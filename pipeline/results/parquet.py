"""Parquet: columns with types, in row groups of bounded size."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.queries import ResultRow
from pipeline.results.pieces import Pieces
from pipeline.results.rows import NOTHING, OWN, ColumnType, Table, from_json, to_json

ROW_GROUP = 20_000
"""Rows that are held until they are written together."""
ARROW: dict[ColumnType, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}
SCORE = "email_score"


class ParquetFormat:
    """One column for each of the header. A further column whose values are not all of one type is text."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._types = [table.types.get(column, "text") for column in table.extra_columns]
        self._fields = [pa.field(name, kind) for name, kind in zip(table.header, self._arrow_types(), strict=True)]
        self._schema = pa.schema(self._fields)
        self._pieces = Pieces()
        self._writer = pq.ParquetWriter(pa.PythonFile(self._pieces, mode="w"), self._schema, compression="zstd")
        self._held: list[ResultRow] = []

    def head(self) -> bytes:
        return self._pieces.taken()

    def rows(self, rows: Sequence[ResultRow]) -> bytes:
        self._held += rows
        if len(self._held) >= ROW_GROUP:
            self._write_group()
        return self._pieces.taken()

    def tail(self) -> bytes:
        if self._held:
            self._write_group()
        self._writer.close()
        return self._pieces.taken()

    def _arrow_types(self) -> Sequence[pa.DataType]:
        ours = [pa.int32() if name == SCORE else pa.string() for name in self._table.result_columns]
        return [*[pa.string()] * OWN, *(ARROW[kind] for kind in self._types), *ours]

    def _write_group(self) -> None:
        columns = list(zip(*self._held, strict=True))
        values = [*columns[:OWN], *self._further(columns[-1]), *columns[OWN:-1]]
        arrays = [pa.array(each, field.type) for each, field in zip(values, self._fields, strict=True)]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._held.clear()

    def _further(self, extras: Sequence[str]) -> Sequence[Sequence[Any]]:
        given = [{} if extra == NOTHING else from_json(extra)[0] for extra in extras]
        named = zip(self._table.extra_columns, self._types, strict=True)
        return [[_value(row.get(column), kind) for row in given] for column, kind in named]


def _value(value: Any, kind: ColumnType) -> Any:
    return value if value is None or kind != "text" or isinstance(value, str) else to_json(value)
