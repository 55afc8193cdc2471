"""Pages of results, in the client's order, of a run that may still be working."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from models.queries import ResultRow, results_after
from models.run import Run
from pipeline.errors import UnknownRun
from pipeline.results.rows import Table
from pipeline.results.text_formats import JsonFormat
from pipeline.stages import address_stages

MOST_SEARCHED = 5_000
"""Contacts that are searched for one page: so few of them may match that all of a large run would take too long."""


@dataclass(frozen=True, slots=True)
class Page:
    """Results in the order of `input_row`, and the `input_row` after which the next page begins; None at the end."""

    rows: Sequence[ResultRow]
    next: int | None


def read_page(
    session: Session, run: Run, after: int, statuses: Sequence[str] | None, count: int, *, reason: str | None = None
) -> Page:
    """Read the results of contacts behind the row `after`, of those that a stage has worked.

    A page may have fewer than `count` rows, even none, although others follow. Raises `UnknownRun` for a run whose data
    has expired.
    """
    if run.retracted_at:
        raise UnknownRun("The data of this run has expired and was deleted: create a new run.")
    last = min(after + MOST_SEARCHED, run.contact_count - 1)
    found = results_after(session, run.id, after, last, statuses, count, *address_stages(run.preset), reason=reason)
    searched = found[-1].input_row if len(found) == count else last
    return Page([row[:-1] for row in found], searched if searched < run.contact_count - 1 else None)


def as_json(rows: Sequence[ResultRow], extra_columns: Sequence[str]) -> str:
    """The rows as they are in a JSON export."""
    made = JsonFormat(Table(extra_columns))
    return (made.head() + made.rows(rows) + made.tail()).decode()
