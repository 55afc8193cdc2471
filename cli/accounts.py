"""Accounts and API keys, as operators handle them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from models.account import Account
from models.api_key import ApiKey, hash_api_key, new_api_key
from models.database import Database, changed_rows
from models.queries import account_of_key
from models.status import SubscriptionStatus
from pipeline import keys
from pipeline.credits import grant
from pipeline.errors import AccountStateConflict, UnknownAccount, UnknownKey
from pipeline.ledger import Standing, standing

ACCOUNTS = text("""
SELECT a.id, a.name, a.subscription_status, a.credit_balance, coalesce(r.held, 0), coalesce(k.keys, 0), a.created_at
FROM accounts a
LEFT JOIN (
  SELECT account_id, CAST(sum(CAST(charged_contacts AS bigint) * charge_per_contact) AS bigint) AS held FROM runs
  WHERE status IN ('pending', 'running') GROUP BY account_id
) r ON r.account_id = a.id
LEFT JOIN (SELECT account_id, count(*) AS keys FROM api_keys WHERE revoked_at IS NULL GROUP BY account_id) k
  ON k.account_id = a.id
ORDER BY a.id
""")


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


class AccountShown(NamedTuple):
    """An account as an operator sees it. `keys` counts those that are not revoked."""

    id: UUID
    name: str
    status: str
    balance: int
    held: int
    keys: int
    created_at: datetime


def list_accounts(session: Session) -> Sequence[AccountShown]:
    """All accounts, oldest first."""
    return [AccountShown(*row) for row in session.execute(ACCOUNTS)]


def find_account(session: Session, who: str) -> Account:
    """The account with this id, or the only one of this name. Raises `UnknownAccount`."""
    given_id = _as_id(who)
    is_meant = Account.id == given_id if given_id else Account.name == who
    found = session.scalars(select(Account).where(is_meant).order_by(Account.id).limit(2)).all()
    if not found:
        raise UnknownAccount(f"There is no account {who}: `growth account list` shows all.")
    if len(found) > 1:
        raise UnknownAccount(f"Several accounts are called {who}: name one by its id (`growth account list`).")
    return found[0]


def top_up(session: Session, who: str, credits_granted: int) -> Standing:
    """Add credits to an account; return what it has now."""
    account = find_account(session, who)
    grant(session, account.id, credits_granted)
    return standing(session, account.id)


def change_status(session: Session, who: str, before: SubscriptionStatus, after: SubscriptionStatus) -> None:
    """Move an account from one status to another. Raises `AccountStateConflict` if it is in a third one."""
    account = find_account(session, who)
    change = update(Account).where(Account.id == account.id, Account.subscription_status.in_((before, after)))
    if not changed_rows(session, change.values(subscription_status=after)):
        raise AccountStateConflict(f"This account is {account.subscription_status}, not {before}: nothing was changed.")


def set_operator(session: Session, who: str, *, is_operator: bool) -> None:
    """Give an account the operator's role, or take it away."""
    find_account(session, who).is_operator = is_operator


def list_keys(session: Session, who: str) -> Sequence[ApiKey]:
    """The keys of an account, oldest first."""
    return keys.keys_of(session, find_account(session, who).id)


def create_key(session: Session, who: str) -> str:
    """Give an account one more key, and return it."""
    return keys.add_key(session, find_account(session, who).id).key


def revoke_key(session: Session, key_id: str) -> bool:
    """Make a key void from now on; return whether it was valid. Raises `UnknownKey`."""
    given_id = _as_id(key_id)
    if given_id is None or session.get(ApiKey, given_id) is None:
        raise UnknownKey("There is no key with this id: `growth account keys list` shows those of an account.")
    return keys.revoke_key(session, given_id)


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
