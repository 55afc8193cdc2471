"""Provider answers: the answers of paid sources about people, stored before they are used."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, Numeric, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, not_negative, one_of

ANSWER_STATUSES = ("found", "not_found")


class ProviderAnswer(Base):
    """One question of an account's run to a paid provider, and its answer.

    `question` is the SHA-256 of the person's normalised name and domain, so the row does not show whom it is about. The
    row is written before the provider is asked, and updated with the answer. A row without an answer belongs to a chunk
    task that is asking, or that died before the answer came: whether it was charged is unknown then. `asked_at` is the
    asker's token. `cost` is in the currency of the prices in `PROVIDERS_FILE`, and counts from the question on.
    """

    __tablename__ = "provider_answers"
    __table_args__ = (
        one_of("status", ANSWER_STATUSES),
        not_negative("cost"),
        CheckConstraint("(answered_at IS NULL) = (status IS NULL)", name="answered_at"),
        CheckConstraint("(status = 'found') = (email IS NOT NULL)", name="email"),
        CheckConstraint("score BETWEEN 0 AND 100", name="score"),
        CheckConstraint("length(question) = 32", name="question"),
        Index("ix_provider_answers_run_id", "run_id"),
        Index("ix_provider_answers_asked_at", "asked_at"),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    question: Mapped[bytes] = mapped_column(primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id"))
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())
    answered_at: Mapped[datetime | None]
    status: Mapped[str | None]
    email: Mapped[str | None]
    score: Mapped[int | None]
    cost: Mapped[Decimal] = mapped_column(Numeric(12, 4), server_default="0")
    evidence: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))


class ProviderSpending(Base):
    """The cost of a run's questions of one day (UTC, by `asked_at`): the sum over its `provider_answers`.

    A trigger updates it with each answer. Budgets are looked up with each question, which must not take a sum over all
    earlier ones.
    """

    __tablename__ = "provider_spending"
    __table_args__ = (Index("ix_provider_spending_account_id_day", "account_id", "day"),)

    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    cost: Mapped[Decimal] = mapped_column(Numeric(16, 4))
