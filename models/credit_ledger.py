"""The credit ledger: each movement of credits, once."""

from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, CreatedAt, IdKey, one_of
from models.status import LedgerKind


class LedgerEntry(Base):
    """One movement: positive credits to the account, negative from it.

    The unique index over (run, kind) makes a second charge or rebate of a run impossible.
    """

    __tablename__ = "credit_ledger"
    __table_args__ = (
        one_of("kind", LedgerKind),
        CheckConstraint("(kind = 'grant') = (run_id IS NULL)", name="run"),
        CheckConstraint("CASE kind WHEN 'charge' THEN credits <= 0 ELSE credits >= 0 END", name="sign"),
        Index("uq_credit_ledger_run_id_kind", "run_id", "kind", unique=True),
    )

    id: Mapped[IdKey]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), index=True)
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("runs.id"))
    kind: Mapped[str]
    credits: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[CreatedAt]
