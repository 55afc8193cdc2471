"""Routes for the account's suppression list. Entries are sent in bodies only: an address in a URL ends up in logs."""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from sqlalchemy.orm import Session

from api.access import AccountId
from api.bodies import Body, parse_entries
from api.document.openapi import body_of
from api.errors import MOST_PROBLEMS
from api.process_pool import run_by_size
from api.resources import Resources, database_of
from api.runs import ERRORS
from api.slots import CHANGE, LIST
from models.bounds import ENTRIES
from models.privacy_wire import Changed, Checked, SuppressionEntries, SuppressionPage, SuppressionShown
from pipeline.errors import InvalidInput
from pipeline.privacy import suppressions as suppression_list
from pipeline.privacy.suppressions import Entry, parse_entry

suppressions = APIRouter(prefix="/api/v1/growth/suppressions", responses=ERRORS)  # type: ignore[arg-type]

BODY = body_of(SuppressionEntries)


@suppressions.post("", dependencies=[CHANGE], openapi_extra=BODY)
def add(request: Request, account_id: AccountId, body: Body) -> Changed:
    """Add entries to the list: all of them, or none if one is unusable."""
    return run_by_size(request, body, _change, account_id, suppression_list.add)


@suppressions.post("/remove", dependencies=[CHANGE], openapi_extra=BODY)
def remove(request: Request, account_id: AccountId, body: Body) -> Changed:
    """Remove entries from the list."""
    return run_by_size(request, body, _change, account_id, suppression_list.remove)


@suppressions.post("/check", dependencies=[CHANGE], openapi_extra=BODY)
def check(request: Request, account_id: AccountId, body: Body) -> Checked:
    """Tell for each entry whether it is suppressed, by itself or by its domain."""
    return run_by_size(request, body, _check, account_id)


@suppressions.get("", dependencies=[LIST])
def show(
    request: Request,
    account_id: AccountId,
    after: Annotated[str, Query(pattern="^([0-9a-f]{64})?$")] = "",
    limit: Annotated[int, Query(ge=1, le=ENTRIES.most)] = 1000,
) -> SuppressionPage:
    """Show the list page by page, as hashes."""
    with database_of(request).transaction() as session:
        rows = suppression_list.page(session, account_id, bytes.fromhex(after), limit)
        total = suppression_list.count(session, account_id)
    shown = [SuppressionShown(kind=row.kind, sha256=row.sha256.hex(), created_at=row.created_at) for row in rows]
    return SuppressionPage(entries=shown, total=total, next=shown[-1].sha256 if len(shown) == limit else None)


def _check(resources: Resources, body: bytes, account_id: UUID) -> Checked:
    entries = entries_of(parse_entries(body).entries)
    with resources.database.transaction() as session:
        return Checked(suppressed=suppression_list.check(session, account_id, entries))


def _change(
    resources: Resources, body: bytes, account_id: UUID, change: Callable[[Session, UUID, Sequence[Entry]], int]
) -> Changed:
    entries = entries_of(parse_entries(body).entries)
    with resources.database.transaction() as session:
        changed = change(session, account_id, entries)
        total = suppression_list.count(session, account_id)
    return Changed(changed=changed, unchanged=len(entries) - changed, total=total)


def entries_of(given: Sequence[str]) -> Sequence[Entry]:
    """The entries that are meant. Raises `InvalidInput`, which names the unusable ones by their numbers."""
    problems = list(_problems(given))
    if problems:
        rest = len(problems) - MOST_PROBLEMS
        raise InvalidInput("; ".join(problems[:MOST_PROBLEMS]) + (f"; and {rest} more" if rest > 0 else ""))
    return [parse_entry(each) for each in given]


def _problems(given: Sequence[str]) -> Iterator[str]:
    for number, each in enumerate(given, start=1):
        try:
            parse_entry(each)
        except InvalidInput as problem:
            yield f"entry {number}: {problem}"
