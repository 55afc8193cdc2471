"""The ledger, read: what an account has and had, and whether all sums agree."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, cast, func, select, text
from sqlalchemy.orm import Session

from models.account import Account
from models.credit_ledger import LedgerEntry
from models.database import allow_any_time
from models.run import Run
from models.schema import word
from models.status import RunStatus

PRICE = "CAST(r.charged_contacts AS bigint) * r.charge_per_contact"

# Each row is something that does not add up.
MISTAKES = text(f"""
WITH booked AS (
  SELECT run_id, sum(held) FILTER (WHERE kind = 'charge') AS charged, bool_or(kind = 'rebate') AS settled,
         sum(held) AS held, sum(revenue) AS revenue
  FROM credit_ledger WHERE run_id IS NOT NULL GROUP BY run_id
), expected AS (
  SELECT r.id, r.account_id, {PRICE} AS price, r.finished_at IS NOT NULL AS over FROM runs r
)
SELECT 'entry' AS what, id, credits + held + revenue + issued AS found, 0 AS expected FROM credit_ledger
WHERE credits + held + revenue + issued <> 0 OR provider_cost + provider_debt <> 0
UNION ALL
SELECT 'balance', a.id, a.credit_balance, coalesce(sum(l.credits), 0)
FROM accounts a LEFT JOIN credit_ledger l ON l.account_id = a.id
GROUP BY a.id HAVING a.credit_balance <> coalesce(sum(l.credits), 0)
UNION ALL
SELECT 'charge', e.id, b.charged, e.price FROM expected e LEFT JOIN booked b ON b.run_id = e.id
WHERE b.charged IS DISTINCT FROM e.price
UNION ALL
SELECT 'settlement', e.id, CAST(b.settled AS int), CAST(e.over AS int) FROM expected e JOIN booked b ON b.run_id = e.id
WHERE b.settled <> e.over
UNION ALL
SELECT 'held', e.id, b.held, CASE WHEN e.over THEN 0 ELSE e.price END
FROM expected e JOIN booked b ON b.run_id = e.id
WHERE b.held <> CASE WHEN e.over THEN 0 ELSE e.price END
UNION ALL
SELECT 'revenue', run_id, revenue, 0 FROM booked WHERE revenue < 0
ORDER BY what, id
""")  # noqa: S608 - a constant of ours

TOTALS = text("""
SELECT count(*) AS entries, coalesce(sum(credits), 0) AS accounts, coalesce(sum(held), 0) AS held,
       coalesce(sum(revenue), 0) AS revenue, coalesce(sum(issued), 0) AS issued,
       coalesce(sum(provider_cost), 0) AS provider_cost
FROM credit_ledger
""")

SENTENCES: Mapping[str, str] = {
    "balance": "account {id}: its balance is {found}, and its entries sum to {expected}",
    "charge": "run {id}: its price is {expected}, and {found} was charged",
    "entry": "entry {id}: its postings sum to {found}, not to zero",
    "held": "run {id}: {found} credits are held for it, and {expected} should be",
    "revenue": "run {id}: it paid back more than its price, and left {found} credits of revenue",
    "settlement": "run {id}: it is over and not settled, or settled and not over",
}


class Totals(NamedTuple):
    """The sum of each book. Those in credits sum to zero; `provider_cost` is in the providers' currency."""

    entries: int
    accounts: int
    held: int
    revenue: int
    issued: int
    provider_cost: Any


@dataclass(frozen=True, slots=True)
class Proof:
    """The sums of the ledger, and a sentence for each thing that does not agree with them."""

    totals: Totals
    mistakes: Sequence[str]


class Standing(NamedTuple):
    """What an account may spend, and what is held for its runs that are not over."""

    balance: int
    held: int


def prove(session: Session) -> Proof:
    """Check each entry, account and run against the ledger. Call it first in a transaction: it sees one moment."""
    session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    allow_any_time(session)
    return Proof(Totals(*session.execute(TOTALS).one()), [*_mistakes(session)])


def standing(session: Session, account_id: UUID) -> Standing:
    """The account's balance, and what its runs hold."""
    price = cast(Run.charged_contacts, BigInteger) * Run.charge_per_contact
    is_active = Run.status.in_([word(RunStatus.PENDING), word(RunStatus.RUNNING)])
    held = select(func.coalesce(func.sum(price), 0)).where(Run.account_id == account_id, is_active).scalar_subquery()
    balance, held_now = session.execute(select(Account.credit_balance, held).where(Account.id == account_id)).one()
    return Standing(balance, int(held_now))


def statement_page(
    session: Session, account_id: UUID, before: UUID | None, limit: int, *, only_moved: bool = False
) -> Sequence[LedgerEntry]:
    """The account's entries, newest first, from the one before `before` on; `only_moved` leaves those of 0 out."""
    mine = select(LedgerEntry).where(LedgerEntry.account_id == account_id)
    if only_moved:
        mine = mine.where(LedgerEntry.credits != 0)
    older = mine.where(LedgerEntry.id < before) if before else mine
    return session.scalars(older.order_by(LedgerEntry.id.desc()).limit(limit)).all()


def sum_after(session: Session, account_id: UUID, entry_id: UUID) -> int:
    """The sum of an account's entries from this one on, in credits."""
    newer = (LedgerEntry.account_id == account_id, LedgerEntry.id >= entry_id)
    return int(session.scalar(select(func.coalesce(func.sum(LedgerEntry.credits), 0)).where(*newer)) or 0)


def _mistakes(session: Session) -> Iterator[str]:
    for row in session.execute(MISTAKES):
        found = "nothing" if row.found is None else row.found
        yield SENTENCES[row.what].format(id=row.id, found=found, expected=row.expected)
