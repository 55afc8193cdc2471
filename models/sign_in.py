"""Sign-ins: browsers that an API key has let in."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, CreatedAt


class SignIn(Base):
    """A browser that signed in with an API key. It is signed out when the key is revoked, or at `expires_at`.

    `token_hash` is the SHA-256 of what the browser's cookie holds, which is 256 random bits as an API key is.
    """

    __tablename__ = "sign_ins"
    __table_args__ = (CheckConstraint("length(token_hash) = 32", name="token_hash_is_sha256"),)

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    key_id: Mapped[UUID] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime] = mapped_column(index=True)
