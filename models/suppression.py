"""Suppressions: an account's suppression list, as hashes."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import Base, CreatedAt, one_of

SUPPRESSION_KINDS = ("address", "domain", "hash", "person")


class Suppression(Base):
    """One entry of an account's suppression list. It does not show whom it is about.

    `sha256` is the hash of the normalised value (`pipeline.mail.address.suppression`). The kind `hash` is an entry that
    the account supplied as a SHA-256, `person` the name and domain of somebody who was erased. What an entry suppresses
    depends on its hash alone; the kind is for people to read.
    """

    __tablename__ = "suppressions"
    __table_args__ = (
        one_of("kind", SUPPRESSION_KINDS),
        CheckConstraint("length(sha256) = 32", name="sha256"),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    sha256: Mapped[bytes] = mapped_column(primary_key=True)
    kind: Mapped[str]
    created_at: Mapped[CreatedAt]
