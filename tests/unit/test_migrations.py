"""The migrations and the tables say the same."""

from alembic import command
from sqlalchemy import text

from models.database import Database
from models.migrate import alembic_config, is_migrated, migrate


def test_the_migrated_schema_is_what_the_tables_say(database: Database) -> None:
    with database.engine.begin() as connection:
        command.check(alembic_config(connection))


def test_migrating_twice_changes_nothing(database: Database) -> None:
    migrate(database)

    assert is_migrated(database)


def test_a_database_without_the_schema_is_told_apart(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))

    assert not is_migrated(database)
