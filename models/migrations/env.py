"""Alembic's entry: runs migrations on the connection that `models.migrate` hands over."""

from typing import Any

from alembic import context
from sqlalchemy import text

from models.tables import Base

connection = context.config.attributes["connection"]
PARTITIONS = "SELECT relname FROM pg_class WHERE relispartition"


def is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Whether a table of the database is compared with the models: partitions are made as time passes."""
    return kind != "table" or name not in partitions


partitions = set(connection.scalars(text(PARTITIONS)))
context.configure(connection=connection, target_metadata=Base.metadata, include_name=is_ours)
with context.begin_transaction():
    context.run_migrations()
