"""Accounts: who owns runs and credits."""

from sqlalchemy.orm import Mapped

from models.schema import Base, BigCounter, CreatedAt, IdKey, not_negative, one_of
from models.status import SubscriptionStatus


class Account(Base):
    """An account. `credit_balance` is the sum of its ledger rows, kept beside them in the same transaction.

    Its CHECK is what refuses a run that the account can't pay, however many are created at once.
    """

    __tablename__ = "accounts"
    __table_args__ = (one_of("subscription_status", SubscriptionStatus), not_negative("credit_balance"))

    id: Mapped[IdKey]
    name: Mapped[str]
    subscription_status: Mapped[str]
    credit_balance: Mapped[BigCounter]
    created_at: Mapped[CreatedAt]
