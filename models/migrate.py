"""Brings a database to the schema that this version of the code needs."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from models.database import Database, allow_any_time

# Any number will do, as long as all who migrate use the same: two at once take turns.
MIGRATION_LOCK = 0x67726F77
TAKE_TURNS = text("SELECT pg_advisory_xact_lock(:lock)")


def migrate(database: Database) -> None:
    """Run the migrations that are missing. Safe when several processes do it at once."""
    with database.transaction() as session:
        allow_any_time(session)
        connection = session.connection()
        connection.execute(TAKE_TURNS, {"lock": MIGRATION_LOCK})
        command.upgrade(alembic_config(connection), "head")


def is_migrated(database: Database) -> bool:
    """Whether the database has the schema that this version of the code needs."""
    with database.transaction() as session:
        connection = session.connection()
        current = MigrationContext.configure(connection).get_current_revision()
        return current == ScriptDirectory.from_config(alembic_config(connection)).get_current_head()


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration, without a file of its own."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
