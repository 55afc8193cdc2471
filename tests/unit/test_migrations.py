"""The migrations and the tables say the same."""

import pytest
from alembic import command
from sqlalchemy import inspect, text

from models.database import Database
from models.migrate import alembic_config, is_migrated, migrate


def test_the_migrated_schema_is_what_the_tables_say(database: Database) -> None:
    with database.engine.begin() as connection:
        command.check(alembic_config(connection))


@pytest.mark.parametrize("table", ["outcomes", "deferrals"])
def test_what_goes_with_a_contact_is_found_by_the_first_columns_of_its_key(database: Database, table: str) -> None:
    """Where they are not the first, PostgreSQL before 18 reads all rows of the run for each contact deleted."""
    catalogue = inspect(database.engine)
    (reference,) = catalogue.get_foreign_keys(table)

    assert catalogue.get_pk_constraint(table)["constrained_columns"][:2] == reference["constrained_columns"]


def test_migrating_twice_changes_nothing(database: Database) -> None:
    migrate(database)

    assert is_migrated(database)


def test_a_database_without_the_schema_is_told_apart(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))

    assert not is_migrated(database)
