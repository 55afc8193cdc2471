"""Accounts: who owns runs and credits."""

from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, BigCounter, CreatedAt, IdKey, not_negative, one_of
from models.status import SubscriptionStatus


class Account(Base):
    """An account. `credit_balance` is the sum of its ledger rows, updated in the transaction that adds a row.

    One with `is_operator` sees the work of all accounts on the page, but no contact of another one.
    A CHECK keeps it from falling below zero, so that an account can't pay for too many runs that are created at once.
    """

    __tablename__ = "accounts"
    __table_args__ = (one_of("subscription_status", SubscriptionStatus), not_negative("credit_balance"))

    id: Mapped[IdKey]
    name: Mapped[str]
    subscription_status: Mapped[str]
    credit_balance: Mapped[BigCounter]
    is_operator: Mapped[bool] = mapped_column(server_default="false")
    created_at: Mapped[CreatedAt]
