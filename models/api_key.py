"""API keys: stored as hashes, shown once."""

import hashlib
import secrets
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, CreatedAt, IdKey

KEY_PREFIX = "growth_"


class ApiKey(Base):
    """One key of an account. `key_hash` is SHA-256: a key is 256 random bits, so a slow hash gains nothing."""

    __tablename__ = "api_keys"
    __table_args__ = (CheckConstraint("length(key_hash) = 32", name="key_hash_is_sha256"),)

    id: Mapped[IdKey]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), index=True)
    key_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[CreatedAt]
    revoked_at: Mapped[datetime | None]


def new_api_key() -> str:
    """Create a key. Its prefix lets secret scanners recognise it."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_api_key(key: str) -> bytes:
    """The hash of a key, which is all that is stored of it."""
    return hashlib.sha256(key.encode()).digest()
