"""An account's API keys, and the browsers that signed in with them."""

import secrets
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from models.api_key import ApiKey, hash_api_key, new_api_key
from models.database import changed_rows
from models.pauses import in_seconds
from models.sign_in import SignIn

SIGNED_IN_DAYS = 7


class NewKey(NamedTuple):
    """A new key, and its id. The key is shown once; only its hash is stored."""

    id: UUID
    key: str


def keys_of(session: Session, account_id: UUID) -> Sequence[ApiKey]:
    """The keys of an account, oldest first. None of them can be read: only hashes are stored."""
    return session.scalars(select(ApiKey).where(ApiKey.account_id == account_id).order_by(ApiKey.id)).all()


def add_key(session: Session, account_id: UUID) -> NewKey:
    """Give an account one more key."""
    key = new_api_key()
    row = ApiKey(account_id=account_id, key_hash=hash_api_key(key))
    session.add(row)
    session.flush()
    return NewKey(row.id, key)


def revoke_key(session: Session, key_id: UUID, account_id: UUID | None = None) -> bool:
    """Make a key void from now on; return whether it was valid. With an account, only one of its own."""
    meant = update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
    theirs = meant if account_id is None else meant.where(ApiKey.account_id == account_id)
    return changed_rows(session, theirs.values(revoked_at=func.now())) == 1


def sign_in(session: Session, key: str) -> str | None:
    """Let a browser in with a key; return the token for its cookie, or None if the key is not valid.

    Sign-ins whose time is over are deleted meanwhile.
    """
    valid = select(ApiKey.id).where(ApiKey.key_hash == hash_api_key(key), ApiKey.revoked_at.is_(None))
    key_id = session.scalar(valid)
    if key_id is None:
        return None
    session.execute(delete(SignIn).where(SignIn.expires_at < func.now()))
    token, until = secrets.token_urlsafe(32), in_seconds(SIGNED_IN_DAYS * 86_400)
    session.add(SignIn(token_hash=hash_api_key(token), key_id=key_id, expires_at=until))
    return token


def sign_out(session: Session, token: str) -> None:
    """End a sign-in, if there is one."""
    session.execute(delete(SignIn).where(SignIn.token_hash == hash_api_key(token)))


def key_of_sign_in(session: Session, token: str) -> UUID | None:
    """The id of the key with which a browser signed in."""
    return session.scalar(select(SignIn.key_id).where(SignIn.token_hash == hash_api_key(token)))
