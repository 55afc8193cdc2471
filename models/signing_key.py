"""Keys with which the engine signs what it hands out."""

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, CreatedAt


class SigningKey(Base):
    """A random key for one purpose, made when it is first needed. Deleting the row makes all its signatures void."""

    __tablename__ = "signing_keys"
    __table_args__ = (CheckConstraint("length(key) = 32", name="key"),)

    purpose: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[bytes]
    created_at: Mapped[CreatedAt]
