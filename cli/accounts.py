"""Accounts and their keys, as an operator makes them."""

from dataclasses import dataclass
from uuid import UUID

from models.account import Account
from models.api_key import ApiKey, hash_api_key, new_api_key
from models.database import Database
from models.status import SubscriptionStatus
from pipeline.credits import grant


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A fresh account; its key is shown this once and stored only as a hash."""

    account_id: UUID
    api_key: str


def create_account(database: Database, name: str, credits_granted: int) -> NewAccount:
    """An account with an active subscription, some credits and a key."""
    key = new_api_key()
    with database.transaction() as session:
        account = Account(name=name, subscription_status=SubscriptionStatus.ACTIVE)
        session.add(account)
        session.flush()
        session.add(ApiKey(account_id=account.id, key_hash=hash_api_key(key)))
        grant(session, account.id, credits_granted)
        return NewAccount(account.id, key)
