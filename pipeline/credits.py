"""Credits: a run's price is held once when it is created, and settled once when it ends.

Each movement is one entry of `models.credit_ledger`, whose postings sum to zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.account import Account
from models.credit_ledger import LedgerEntry
from models.database import changed_rows
from models.provider_answer import ProviderSpending
from models.run import Run
from models.schema import new_id
from models.status import LedgerKind
from pipeline.errors import InsufficientCredits


class Rates(Protocol):
    """The settings with the price of a run."""

    @property
    def credits_per_contact(self) -> int:
        """See `RateCard.per_contact`."""
        ...

    @property
    def rebate_per_unresolved(self) -> int:
        """See `RateCard`."""
        ...

    @property
    def rebate_per_unverified(self) -> int:
        """See `RateCard`."""
        ...


@dataclass(frozen=True, slots=True)
class RateCard:
    """The price of a contact, and the rebate for one that was not delivered, in credits."""

    per_contact: int = 4
    rebate_per_unresolved: int = 4
    rebate_per_unverified: int = 0

    @classmethod
    def of(cls, rates: Rates) -> Self:
        """The rate card of the settings."""
        return cls(rates.credits_per_contact, rates.rebate_per_unresolved, rates.rebate_per_unverified)


@dataclass(frozen=True, slots=True)
class Delivered:
    """How many contacts a run delivered. `suppressed` are those that cost nothing, such as on the suppression list."""

    contacts: int
    with_email: int
    verified: int
    suppressed: int = 0

    def without(self, others: "Delivered") -> "Delivered":
        """What is left without these of its contacts."""
        return Delivered(
            self.contacts - others.contacts,
            self.with_email - others.with_email,
            self.verified - others.verified,
            self.suppressed - others.suppressed,
        )


def grant(session: Session, account_id: UUID, credits_granted: int) -> None:
    """Add credits to an account."""
    _move(session, account_id, None, LedgerKind.GRANT, credits_granted, {"held": 0, "issued": -credits_granted})


def require_credits(session: Session, run: Run) -> None:
    """Raise `InsufficientCredits` early if the account can't pay a new run. It locks nothing: `charge` decides."""
    balance = _balance(session, run)
    if balance < price_of(run):
        raise _insufficient(run, balance)


def charge(session: Session, run: Run) -> None:
    """Hold the price of a new run. Raises `InsufficientCredits` if the account can't pay it.

    Call it last: the account's row stays locked until the transaction ends, and the account's other runs need it when
    they end.
    """
    price = price_of(run)
    pay = (
        update(Account)
        .where(Account.id == run.account_id, Account.credit_balance >= price)
        .values(credit_balance=Account.credit_balance - price)
    )
    if not changed_rows(session, pay):
        raise _insufficient(run, _balance(session, run))
    session.add(
        LedgerEntry(account_id=run.account_id, run_id=run.id, kind=LedgerKind.CHARGE, credits=-price, held=price)
    )


def price_of(run: Run) -> int:
    """What a run is charged at its start, which is the most that it can cost."""
    return run.charged_contacts * run.charge_per_contact


def rebate_of_completed(run: Run, delivered: Delivered) -> int:
    """The rebate of a completed run, by its own rate card. A suppressed contact is paid back in full."""
    unresolved = delivered.contacts - delivered.with_email - delivered.suppressed
    unverified = delivered.with_email - delivered.verified
    back = unresolved * run.rebate_per_unresolved + unverified * run.rebate_per_unverified
    return back + delivered.suppressed * run.charge_per_contact


def rebate_of_stopped(run: Run, delivered: Delivered) -> int:
    """The rebate of a failed or cancelled run: the full price of each contact that was not delivered."""
    return (delivered.contacts - delivered.with_email) * run.charge_per_contact


def rebate(session: Session, run: Run, credits_back: int) -> None:
    """Settle a run: pay so many credits back, and earn the others that are held for it. A second call does nothing."""
    price = price_of(run)
    spent = select(func.coalesce(func.sum(ProviderSpending.cost), 0)).where(ProviderSpending.run_id == run.id)
    settled = {"held": -price, "revenue": price - credits_back, "provider_cost": spent.scalar_subquery()}
    _move(session, run.account_id, run.id, LedgerKind.REBATE, credits_back, settled)


def at_most_charged(run: Run, credits_back: int) -> int:
    """Limit a rebate to the charge. A retry was not charged for contacts delivered before, even if suppressed since."""
    return min(credits_back, price_of(run))


def _balance(session: Session, run: Run) -> int:
    return session.scalars(select(Account.credit_balance).where(Account.id == run.account_id)).one()


def _insufficient(run: Run, balance: int) -> InsufficientCredits:
    return InsufficientCredits(
        f"This run costs {price_of(run)} credits ({run.charged_contacts} contacts at {run.charge_per_contact}), "
        f"and the account has {balance}: buy credits or send fewer contacts."
    )


def _move(
    session: Session, account_id: UUID, run_id: UUID | None, kind: LedgerKind, amount: int, others: Mapping[str, Any]
) -> None:
    """Post an amount to the account, and the other postings of its entry to their books."""
    entry = (
        insert(LedgerEntry)
        .values(id=new_id(), account_id=account_id, run_id=run_id, kind=kind, credits=amount, **others)
        .on_conflict_do_nothing(index_elements=["run_id", "kind"])
        .returning(LedgerEntry.id)
    )
    if session.scalar(entry) is not None:
        session.execute(
            update(Account)
            .where(Account.id == account_id)
            .values(credit_balance=Account.credit_balance + amount)
            .execution_options(synchronize_session=False)
        )
