"""A result row for clients: their own columns unchanged, then ours."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Row

CONTACT_COLUMNS = ("first_name", "last_name", "full_name", "company", "domain")
INPUT_EMAIL = "input_email"
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


def result_contact(row: Row[Any], ours: OurColumns) -> dict[str, Any]:
    """A result row as a mapping in the order of `export_columns`, with the client's columns that this contact has."""
    contact = {name: getattr(row, name) for name in CONTACT_COLUMNS}
    found = zip((ours[name] for name in RESULT_COLUMNS), _result(row), strict=True)
    return {**contact, ours[INPUT_EMAIL]: row.input_email, **row.extra, **dict(found)}


def _result(row: Row[Any]) -> tuple[Any, ...]:
    """Address, status, reason, score and source. The verdict decides if there is one."""
    if row.email is None:
        return None, row.lookup_status, row.lookup_reason or row.verify_reason, 0, None
    if row.verdict is None:
        return row.email, "unverified", row.lookup_reason, row.lookup_score, row.source
    return row.email, row.verdict, row.verify_reason, row.verify_score, row.source or "input"
