"""Which schema a database has, and which one this version of the code needs: told without Alembic."""

from functools import cache
from pathlib import Path

from sqlalchemy import text

from models.database import Database

IS_THERE = text("SELECT to_regclass('alembic_version') IS NOT NULL")
CURRENT = text("SELECT version_num FROM alembic_version")


def is_migrated(database: Database) -> bool:
    """Whether the database has the schema that this version of the code needs."""
    with database.transaction() as session:
        if not session.scalar(IS_THERE):
            return False
        return bool(session.scalar(CURRENT) == newest_revision())


@cache
def newest_revision() -> str:
    """The last migration: their files are numbered, and the number is the revision."""
    migrations = Path(__file__).parent / "migrations" / "versions"
    return max(path.name.partition("_")[0] for path in migrations.glob("[0-9]*.py"))
