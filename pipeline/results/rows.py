"""One result row, as clients see it: their own columns untouched, then what we found."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

CONTACT_COLUMNS = ("first_name", "last_name", "full_name", "company", "domain")
RESULT_COLUMNS = ("email", "email_status", "email_reason", "email_score", "email_source")


def export_columns(extra_columns: Sequence[str]) -> list[str]:
    """The header of an export: the contact's columns, the client's others, then ours."""
    return [
        *CONTACT_COLUMNS,
        "input_email",
        *extra_columns,
        *(result_column(name, extra_columns) for name in RESULT_COLUMNS),
    ]


def result_column(name: str, extra_columns: Sequence[str]) -> str:
    """Our column's name; a client's column of the same name keeps its own, and ours steps aside."""
    return f"growth_{name}" if name in extra_columns else name


def result_record(row: Row[Any], extra_columns: Sequence[str] = ()) -> dict[str, Any]:
    """A result row as a mapping, in the order of `export_columns`."""
    contact = {name: getattr(row, name) for name in CONTACT_COLUMNS}
    result = dict(zip(RESULT_COLUMNS, _result(row), strict=True))
    taken: Mapping[str, Any] = row.extra
    named = {result_column(name, tuple(taken)): value for name, value in result.items()}
    extra = {name: taken.get(name) for name in extra_columns} if extra_columns else dict(taken)
    return {**contact, "input_email": row.input_email, **extra, **named}


def _result(row: Row[Any]) -> tuple[Any, ...]:
    """Address, status, reason, score and source. The last stage that says something decides."""
    if row.email is None:
        return None, row.lookup_status, row.lookup_reason or row.verify_reason, 0, None
    if row.verdict is None:
        return row.email, "unverified", row.lookup_reason, row.lookup_score, row.source
    return row.email, row.verdict, row.verify_reason, row.verify_score, row.source or "input"
