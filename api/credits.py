"""Routes for credits: balance, what is held, and the statement."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from api.access import AccountId
from api.resources import database_of
from api.runs import ERRORS
from api.slots import LIST
from models.bounds import STATEMENT
from models.credit_ledger import LedgerEntry
from models.database import Database
from models.quote_wire import Credits, StatementEntry
from pipeline.ledger import standing, statement_page

COLUMNS = ("id", "at", "kind", "run_id", "credits", "held")
CSV: dict[int | str, dict[str, Any]] = {
    200: {"description": "The statement", "content": {"text/csv": {"schema": {"type": "string"}}}}
}

credits_of_account = APIRouter(prefix="/api/v1/growth/credits", responses=ERRORS)  # type: ignore[arg-type]


@credits_of_account.get("", dependencies=[LIST])
def show(
    request: Request,
    account_id: AccountId,
    before: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=STATEMENT.most)] = 100,
) -> Credits:
    """The balance, what runs hold, and the statement page by page, newest first."""
    with database_of(request).transaction() as session:
        now = standing(session, account_id)
        page = statement_page(session, account_id, before, limit)
    shown = [_shown(entry) for entry in page]
    return Credits(
        balance=now.balance, held=now.held, statement=shown, next=shown[-1].id if len(shown) == limit else None
    )


@credits_of_account.get("/statement.csv", dependencies=[LIST], response_class=StreamingResponse, responses=CSV)
def download(request: Request, account_id: AccountId) -> StreamingResponse:
    """The whole statement as CSV, newest first."""
    return statement_as_csv(database_of(request), account_id)


def statement_as_csv(database: Database, account_id: UUID) -> StreamingResponse:
    """The answer with an account's whole statement, newest first."""
    pages = _pages(database, account_id)
    return StreamingResponse(
        _as_csv(pages),
        media_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="statement.csv"'},
    )


def _shown(entry: LedgerEntry) -> StatementEntry:
    return StatementEntry(
        id=entry.id,
        at=entry.created_at,
        kind=entry.kind,
        run_id=entry.run_id,
        credits=entry.credits,
        held=entry.held,
    )


def _pages(database: Database, account_id: UUID) -> Iterator[Sequence[StatementEntry]]:
    """All pages. No transaction is open, and no connection taken, while the client receives one."""
    before: UUID | None = None
    while True:
        with database.transaction() as session:
            entries = statement_page(session, account_id, before, STATEMENT.most)
        if not entries:
            return
        before = entries[-1].id
        yield [_shown(entry) for entry in entries]


def _as_csv(pages: Iterator[Sequence[StatementEntry]]) -> Iterator[str]:
    yield ",".join(COLUMNS) + "\r\n"
    for page in pages:
        written = io.StringIO()
        rows = (entry.model_dump(mode="json") for entry in page)
        csv.writer(written).writerows([row[column] for column in COLUMNS] for row in rows)
        yield written.getvalue()
