"""Brings a database to the schema that this version of the code needs."""

import logging
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from models.database import Database, allow_any_time
from models.postgres_errors import PostgresUnavailable

# Any number will do, as long as all who migrate use the same: two at once take turns.
MIGRATION_LOCK = 0x67726F77
TAKE_TURNS = text("SELECT pg_advisory_xact_lock(:lock)")

# For a table that is in use: whoever comes after the migration waits behind it, as long.
WAIT_A_SECOND = text("SET LOCAL lock_timeout = '1s'")
AGAIN_AFTER_S = 1.0
IN_USE = ("55P03", "40P01")

log = logging.getLogger(__name__)


def migrate(database: Database) -> None:
    """Run the migrations that are missing. Safe when several processes do it at once, and while others are at work.

    Where somebody reads a table for minutes, as an export does, it lets those through who wait behind it, and tries
    again. Raises `PostgresUnavailable`.
    """
    while not _migrate_unless_in_use(database):
        log.warning("the database is in use: the migration is tried again")
        time.sleep(AGAIN_AFTER_S)


def _migrate_unless_in_use(database: Database) -> bool:
    try:
        with database.transaction() as session:
            allow_any_time(session)
            connection = session.connection()
            connection.execute(TAKE_TURNS, {"lock": MIGRATION_LOCK})
            connection.execute(WAIT_A_SECOND)
            command.upgrade(alembic_config(connection), "head")
    except PostgresUnavailable as error:
        if error.sqlstate not in IN_USE:
            raise
        return False
    return True


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
