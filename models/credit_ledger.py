"""The credit ledger: each movement of credits, once, with where the credits come from and where they go."""

from decimal import Decimal
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Index, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, BigCounter, CreatedAt, IdKey, one_of
from models.status import LedgerKind


class LedgerEntry(Base):
    """One entry. Each of its amounts is a posting to one book, and the postings of an entry sum to zero.

    The books in credits: `credits` is what the account may spend (its balance), `held` is reserved for runs that are
    not over, `revenue` is earned, and `issued` is where granted credits come from. The books in the currency of the
    providers' prices: `provider_cost`, and `provider_debt`, which is owed to them.

    A charge moves a run's price from the account to held. A rebate settles the run: all that is held for it becomes
    revenue or goes back to the account. The unique index over (run, kind) makes a second charge or rebate of a run
    impossible. `held` is NULL only in what a process of the release before inserts: a trigger fills it in.
    """

    __tablename__ = "credit_ledger"
    __table_args__ = (
        one_of("kind", LedgerKind),
        CheckConstraint("(kind = 'grant') = (run_id IS NULL)", name="run"),
        CheckConstraint("CASE kind WHEN 'charge' THEN credits <= 0 ELSE credits >= 0 END", name="sign"),
        CheckConstraint("credits + held + revenue + issued = 0", name="balanced"),
        CheckConstraint(
            "CASE kind WHEN 'charge' THEN held >= 0 WHEN 'rebate' THEN held <= 0 ELSE held = 0 END", name="held"
        ),
        CheckConstraint("kind = 'rebate' OR (revenue = 0 AND provider_cost = 0)", name="earned"),
        CheckConstraint("kind = 'grant' OR issued = 0", name="issued"),
        Index("uq_credit_ledger_run_id_kind", "run_id", "kind", unique=True),
        Index("ix_credit_ledger_account_id_id", "account_id", "id"),
    )

    id: Mapped[IdKey]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("runs.id"))
    kind: Mapped[str]
    credits: Mapped[int] = mapped_column(BigInteger)
    held: Mapped[int] = mapped_column(BigInteger)
    revenue: Mapped[BigCounter]
    issued: Mapped[BigCounter]
    provider_cost: Mapped[Decimal] = mapped_column(Numeric(16, 4), server_default="0")
    provider_debt: Mapped[Decimal] = mapped_column(Numeric(16, 4), Computed("-provider_cost", persisted=True))
    created_at: Mapped[CreatedAt]
