"""Contacts: what the client sent, one row per contact."""

from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from models.schema import BY_RUN, Base, not_negative


class Contact(Base):
    """A contact of a run.

    `position` is the order of work, in which the contacts of one domain are neighbours. `input_row` is the client's
    order, from 0. `extra` holds the client's other columns, unchanged and in their order. Of an `erased` contact only
    its place in the run's counts is left.
    """

    __tablename__ = "contacts"
    __table_args__ = (
        not_negative("position", "input_row"),
        Index("uq_contacts_input_row", "run_id", "input_row", unique=True),
        BY_RUN,
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    input_row: Mapped[int]
    first_name: Mapped[str]
    last_name: Mapped[str]
    full_name: Mapped[str]
    company: Mapped[str]
    domain: Mapped[str]
    email: Mapped[str | None]
    extra: Mapped[dict[str, Any]] = mapped_column(JSON)
    erased: Mapped[bool] = mapped_column(server_default=text("false"))
