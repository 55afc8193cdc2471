"""A result row for clients: their own columns unchanged, then ours."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from models.queries import ResultRow

CONTACT_COLUMNS = ("first_name", "last_name", "full_name", "company", "domain")
INPUT_EMAIL = "input_email"
OWN = len(CONTACT_COLUMNS) + 1
"""So many columns of a result row are the contact's, the input address among them. Behind them are the result columns,
and last the client's further columns as one JSON object."""
RESULT_COLUMNS = ("email", "email_status", "email_reason", "email_score", "email_source")

OurColumns = Mapping[str, str]
"""The names of `input_email` and of the result columns in a run."""


def result_column(name: str, taken: Collection[str]) -> str:
    """Our column's name, with a prefix if the client has a column of that name."""
    while name in taken:
        name = f"growth_{name}"
    return name


def our_columns(extra_columns: Collection[str]) -> OurColumns:
    """The names of all our columns in a run whose contacts have these."""
    taken = {*CONTACT_COLUMNS, *extra_columns}
    return {name: result_column(name, taken) for name in (INPUT_EMAIL, *RESULT_COLUMNS)}


def export_columns(extra_columns: Sequence[str], ours: OurColumns) -> list[str]:
    """The header of an export: the contact's columns, the client's others, then ours."""
    return [*CONTACT_COLUMNS, ours[INPUT_EMAIL], *extra_columns, *(ours[name] for name in RESULT_COLUMNS)]


def result_contact(row: ResultRow, ours: OurColumns) -> dict[str, Any]:
    """A result row as a mapping in the order of `export_columns`, with the client's columns that this contact has."""
    contact = zip((*CONTACT_COLUMNS, ours[INPUT_EMAIL]), row[:OWN], strict=True)
    result = zip((ours[name] for name in RESULT_COLUMNS), row[OWN:-1], strict=True)
    return {**dict(contact), **json.loads(row[-1]), **dict(result)}
