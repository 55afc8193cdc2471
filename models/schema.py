"""What all tables share: the declarative base, names of constraints, and column types."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import uuid_utils.compat
from sqlalchemy import BigInteger, CheckConstraint, ColumnElement, DateTime, MetaData, Text, func, literal_column
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): ordered by time, so that new rows land at the end of their index."""
    return uuid_utils.compat.uuid7()


class Base(DeclarativeBase):
    """The declarative base of all tables."""

    # Named constraints can be altered by a later migration, and errors name them.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: JSONB,
    }


IdKey = Annotated[UUID, mapped_column(primary_key=True, default=new_id)]
BigCounter = Annotated[int, mapped_column(BigInteger, server_default="0")]
CreatedAt = Annotated[datetime, mapped_column(server_default=func.now())]


BY_RUN = {"postgresql_partition_by": "RANGE (run_id)"}
"""For a table that is partitioned by time: ids of runs are ordered by it (`models.partitions`)."""


def one_of(column: str, choices: type[StrEnum] | tuple[str, ...]) -> CheckConstraint:
    """A CHECK that `column` holds one of the given words."""
    words = ", ".join(f"'{choice}'" for choice in choices)
    return CheckConstraint(f"{column} IN ({words})", name=column)


def word(choice: StrEnum) -> ColumnElement[str]:
    """A word as a literal in the statement: for a parameter the planner can't tell which partial index applies."""
    return literal_column(f"'{choice}'")


def not_negative(*columns: str) -> CheckConstraint:
    """A CHECK that none of these counts is below zero."""
    return CheckConstraint(" AND ".join(f"{column} >= 0" for column in columns), name="not_negative")
