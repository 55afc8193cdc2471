"""Creates accounts and API keys for operators."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.account import Account
from models.api_key import ApiKey, hash_api_key, new_api_key
from models.database import Database
from models.queries import account_of_key
from models.status import SubscriptionStatus
from pipeline.credits import grant


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A new account. Its key is shown once; only the hash is stored."""

    account_id: UUID
    api_key: str


def create_account(database: Database, name: str, credits_granted: int) -> NewAccount:
    """Create an account with an active subscription, credits and a key."""
    key = new_api_key()
    with database.transaction() as session:
        account = Account(name=name, subscription_status=SubscriptionStatus.ACTIVE)
        session.add(account)
        session.flush()
        session.add(ApiKey(account_id=account.id, key_hash=hash_api_key(key)))
        grant(session, account.id, credits_granted)
        return NewAccount(account.id, key)


def reopen_account(database: Database, api_key: str, least_credits: int) -> bool:
    """Top an account up to at least so many credits. Returns False if no account has this key."""
    with database.transaction() as session:
        account = account_of_key(session, api_key)
        if account:
            _top_up(session, account, least_credits)
        return account is not None


def add_key(database: Database, name: str, least_credits: int) -> str | None:
    """Add a key to the latest account of this name, and top it up. Returns None if there is no such account."""
    key = new_api_key()
    with database.transaction() as session:
        account = session.scalars(select(Account).where(Account.name == name).order_by(Account.id.desc())).first()
        if account is None:
            return None
        session.add(ApiKey(account_id=account.id, key_hash=hash_api_key(key)))
        _top_up(session, account, least_credits)
    return key


def _top_up(session: Session, account: Account, least_credits: int) -> None:
    if account.credit_balance < least_credits:
        grant(session, account.id, least_credits - account.credit_balance)
