"""Brings a database to the schema that this version of the code needs."""

import logging
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from models.database import Database, allow_any_time
from models.partitions import make_weeks
from models.postgres_errors import DEADLOCK, LOCK_NOT_AVAILABLE, DatabaseInUse, PostgresUnavailable

# Any number will do, as long as all who migrate use the same: two at once take turns.
MIGRATION_LOCK = 0x67726F77
TAKE_TURNS = text("SELECT pg_advisory_xact_lock(:lock)")

# For a table that is in use: whoever comes after the migration waits behind it, as long.
WAIT_A_SECOND = text("SET LOCAL lock_timeout = '1s'")
AGAIN_AFTER_S = 1.0
IN_USE = (LOCK_NOT_AVAILABLE, DEADLOCK)
PATIENCE_S = 900.0
"""How long a migration is tried. Most exports take less; one that takes longer may write for an hour."""

# Other sessions that hold a lock on a table of ours. Without the right to see another role's sessions, Postgres shows
# their names and no times.
HOLDERS = text("""
SELECT DISTINCT coalesce(nullif(a.application_name, ''), a.backend_type) AS name, a.xact_start
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.granted AND l.pid <> pg_backend_pid() AND a.datname = current_database()
  AND l.relation IN (SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace)
ORDER BY a.xact_start NULLS LAST LIMIT 1
""")

log = logging.getLogger(__name__)


def migrate(database: Database, patience_s: float = PATIENCE_S) -> None:
    """Run the missing migrations, and make the partitions of the weeks to come.

    Safe when several processes do it at once, and while others are at work.

    A transaction that uses a table for minutes, as an export's does, blocks a migration. The migration is then tried
    each second, and lets others through in between. Raises `DatabaseInUse` if it is still blocked after `patience_s`
    seconds, and `PostgresUnavailable`.
    """
    deadline, last_logged = time.monotonic() + patience_s, ""
    while not _migrate_unless_in_use(database):
        if (holder := _holder(database)) != last_logged:
            log.warning("the migration waits for tables that are in use %s", holder)
            last_logged = holder
        if time.monotonic() > deadline:
            raise DatabaseInUse(f"The tables are in use {holder}. End it, or migrate again when it has ended.")
        time.sleep(AGAIN_AFTER_S)
    make_weeks(database)


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


def _holder(database: Database) -> str:
    """Say whose transaction holds a lock on our tables, the oldest if there are several."""
    with database.transaction() as session:
        holder = session.execute(HOLDERS).one_or_none()
    if holder is None:
        return "by a transaction that has ended meanwhile"
    since = f", open since {holder.xact_start:%Y-%m-%d %H:%M:%S} UTC" if holder.xact_start else ""
    return f"by a transaction of {holder.name}{since}"


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration, without a file of its own."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
