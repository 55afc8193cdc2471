"""The account: balance, statement, keys, hooks, and the suppression list."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from api.credits import statement_as_csv
from api.resources import database_of
from api.suppressions import entries_of
from models.bounds import ENTRIES
from models.credit_ledger import LedgerEntry
from pipeline import keys
from pipeline.errors import InvalidInput
from pipeline.hooks.overview import hooks_at_a_glance
from pipeline.ledger import standing, statement_page, sum_after
from pipeline.privacy import suppressions
from web.access import Member, SignedIn, forget
from web.forms import Form
from web.frame import frame_of
from web.rendering import go_to, page
from web.slots import CHANGE, LIST
from web.views.hooks import HookFields, view_of_hook

ENTRIES_ON_A_PAGE = 20
OF_ENTRY = re.compile(r"\bentry ([0-9]+):")

account = APIRouter()


class EntryView(NamedTuple):
    """An entry of the statement, with the balance after it."""

    id: UUID
    at: datetime
    kind: str
    run_id: UUID | None
    credits: int
    balance: int


class Remark(NamedTuple):
    """What came of a form, beside the form: `part` names it."""

    part: str
    is_error: bool
    text: str


@account.get("/account", dependencies=[LIST])
def show(request: Request, member: SignedIn, before: UUID | None = None) -> Response:
    """The account."""
    return account_page(request, member, before)


@account.get("/account/statement.csv", dependencies=[LIST])
def statement(request: Request, member: SignedIn) -> StreamingResponse:
    """The whole statement as CSV."""
    return statement_as_csv(database_of(request), member.account_id)


@account.post("/account/keys", dependencies=[CHANGE])
def add_key(request: Request, member: SignedIn) -> Response:
    """Make one more key. This answer is the only one that shows it."""
    with database_of(request).transaction() as session:
        new = keys.add_key(session, member.account_id)
    return account_page(request, member, new_key=new)


@account.post("/account/keys/{key_id}/revoke", dependencies=[CHANGE])
def revoke_key(request: Request, member: SignedIn, key_id: UUID) -> Response:
    """Revoke a key. The browsers that signed in with it are signed out, this one among them."""
    with database_of(request).transaction() as session:
        own = keys.key_of_sign_in(session, member.token)
        keys.revoke_key(session, key_id, member.account_id)
    response = go_to(request, "/login" if key_id == own else "/account")
    if key_id == own:
        forget(request, response)
    return response


@account.post("/account/suppressions", dependencies=[CHANGE])
def suppress(request: Request, member: SignedIn, form: Form) -> Response:
    """Add entries to the suppression list, one a line: all of them, or none if one is unusable."""
    typed = form.get("entries", "")
    lines = {number: line for number, line in enumerate(typed.splitlines(), start=1) if line.strip()}
    try:
        answer = _added(request, member, [*lines.values()])
    except InvalidInput as problem:
        text = f"Nothing was added: {_by_line(str(problem), [*lines])}."
        return account_page(request, member, remark=Remark("suppress", is_error=True, text=text), typed=typed)
    return account_page(request, member, remark=answer)


@account.post("/account/suppressions/check", dependencies=[CHANGE])
def check(request: Request, member: SignedIn, form: Form) -> Response:
    """Tell whether an entry is suppressed, or remove it from the list."""
    wants_removal = form.get("do") == "remove"
    try:
        answer = _checked(request, member, form.get("entry", ""), wants_removal=wants_removal)
    except InvalidInput as problem:
        answer = Remark("check", is_error=True, text=f"This is {str(problem).removeprefix('entry 1: ')}.")
    return account_page(request, member, remark=answer)


def _added(request: Request, member: Member, lines: Sequence[str]) -> Remark:
    if len(lines) > ENTRIES.most:
        raise InvalidInput(f"there are more than {ENTRIES.most:,} entries: add them in several goes")
    entries = entries_of(lines)
    with database_of(request).transaction() as session:
        new = suppressions.add(session, member.account_id, entries)
    return Remark("suppress", is_error=False, text=f"{new:,} added, {len(entries) - new:,} were on the list already.")


def _by_line(problem: str, lines: Sequence[int]) -> str:
    """What is wrong, with the numbers of lines instead of those of entries: empty lines are none."""
    return OF_ENTRY.sub(lambda found: f"line {lines[int(found[1]) - 1]}:", problem)


def _checked(request: Request, member: Member, entry: str, *, wants_removal: bool) -> Remark:
    entries = entries_of([entry])
    with database_of(request).transaction() as session:
        removed = suppressions.remove(session, member.account_id, entries) if wants_removal else 0
        [is_suppressed] = suppressions.check(session, member.account_id, entries)
    if wants_removal:
        text = "Removed from the list." if removed else "It was not on the list."
        return Remark("check", is_error=False, text=text + (" Its domain still is." if is_suppressed else ""))
    return Remark("check", is_error=False, text="It is suppressed." if is_suppressed else "It is not suppressed.")


def account_page(request: Request, member: Member, before: UUID | None = None, **more: Any) -> Response:
    """The page of the account, with what came of a form."""
    account_id = member.account_id
    with database_of(request).transaction() as session:
        now = standing(session, account_id)
        values = {
            "frame": frame_of(session, account_id),
            "standing": now,
            "statement": _statement(session, account_id, before, now.balance),
            "keys": keys.keys_of(session, account_id),
            "own_key": keys.key_of_sign_in(session, member.token),
            "hooks": [view_of_hook(glance) for glance in hooks_at_a_glance(session, account_id)],
            "suppressed": suppressions.count_by_kind(session, account_id),
        }
    unset = {"new_key": None, "remark": None, "before": before, "new_hook": None, "given": HookFields(), "typed": ""}
    return page(request, "account.html", here="account", **unset | values | more)


class _Statement(NamedTuple):
    entries: Sequence[EntryView]
    older: UUID | None


def _statement(session: Session, account_id: UUID, before: UUID | None, balance: int) -> _Statement:
    rows = statement_page(session, account_id, before, ENTRIES_ON_A_PAGE + 1, only_moved=True)
    newer = sum_after(session, account_id, before) if before else 0
    shown = [*_with_balance(rows[:ENTRIES_ON_A_PAGE], balance - newer)]
    return _Statement(shown, shown[-1].id if len(rows) > ENTRIES_ON_A_PAGE else None)


def _with_balance(rows: Sequence[LedgerEntry], balance: int) -> Iterator[EntryView]:
    """The entries, newest first. The balance before one is that after the next."""
    for row in rows:
        yield EntryView(row.id, row.created_at, row.kind, row.run_id, row.credits, balance)
        balance -= row.credits
