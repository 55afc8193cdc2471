"""A result row for clients: their own columns unchanged, then ours."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from models.queries import ResultRow

CONTACT_COLUMNS = ("first_name", "last_name", "full_name", "company", "domain")
INPUT_EMAIL = "input_email"
OWN = len(CONTACT_COLUMNS) + 1
"""So many columns of a result row are the contact's, the input address among them. Behind them are the result columns,
and last the client's further columns as one JSON object."""
RESULT_COLUMNS = ("email", "email_status", "email_reason", "email_score", "email_source")
NOTHING = "{}"
SAME_IN_CELL = {str, int, float, type(None)}
"""What a cell shows as JSON has it, but for quotes and null."""

OurColumns = Mapping[str, str]
"""The names of `input_email` and of the result columns in a run."""

ColumnType = Literal["text", "integer", "number", "boolean"]

to_json = json.JSONEncoder(ensure_ascii=False).encode
from_json = json.JSONDecoder().raw_decode
"""Without looking for white space around the value, for which `json.loads` takes as long again."""


@dataclass(frozen=True, slots=True)
class Table:
    """What a format knows of a run before its rows come.

    `types` are those of the client's further columns, where a format writes types.
    """

    extra_columns: Sequence[str] = ()
    contacts: int = 0
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    result_columns: Sequence[str] = RESULT_COLUMNS

    @property
    def ours(self) -> OurColumns:
        """The names of our columns."""
        return our_columns(self.extra_columns, self.result_columns)

    @property
    def header(self) -> list[str]:
        """All columns in their order."""
        return export_columns(self.extra_columns, self.ours)


class Cells:
    """Makes rows of cells: text, numbers or None. Other values keep their JSON form.

    A row costs what it holds, not what others do.
    """

    def __init__(self, table: Table) -> None:
        self._places = {column: place for place, column in enumerate(table.extra_columns)}

    def of(self, rows: Sequence[ResultRow]) -> Sequence[Sequence[Any]]:
        """The cells of these rows, in the order of the header."""
        if not self._places:
            return [row[:-1] for row in rows]
        return [(*row[:OWN], *self._further(row[-1]), *row[OWN:-1]) for row in rows]

    def _further(self, extra: str) -> Sequence[Any]:
        cells: list[Any] = [None] * len(self._places)
        if extra != NOTHING:
            for column, value in from_json(extra)[0].items():
                cells[self._places[column]] = value if type(value) in SAME_IN_CELL else to_json(value)
        return cells


def result_column(name: str, taken: Collection[str]) -> str:
    """Our column's name, with a prefix if the client has a column of that name."""
    while name in taken:
        name = f"growth_{name}"
    return name


def our_columns(extra_columns: Collection[str], result_columns: Sequence[str] = RESULT_COLUMNS) -> OurColumns:
    """The names of all our columns in a run whose contacts have these."""
    taken = {*CONTACT_COLUMNS, *extra_columns}
    return {name: result_column(name, taken) for name in (INPUT_EMAIL, *result_columns)}


def export_columns(extra_columns: Sequence[str], ours: OurColumns) -> list[str]:
    """The header of an export: the contact's columns, the client's others, then ours."""
    input_email, *results = ours.values()
    return [*CONTACT_COLUMNS, input_email, *extra_columns, *results]


def result_contact(row: ResultRow, ours: OurColumns) -> dict[str, Any]:
    """A result row as a mapping in the order of `export_columns`, with the client's columns that this contact has."""
    input_email, *results = ours.values()
    contact = zip((*CONTACT_COLUMNS, input_email), row[:OWN], strict=True)
    result = zip(results, row[OWN:-1], strict=True)
    return {**dict(contact), **json.loads(row[-1]), **dict(result)}
