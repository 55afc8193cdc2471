"""The migrations lead to the schema that the tables describe, and keep what is stored."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib import import_module

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from models.database import Database, idle_transaction_allowed, open_database
from models.migrate import alembic_config, migrate
from models.postgres_errors import DatabaseInUse
from models.revision import is_migrated, newest_revision
from pipeline.ledger import prove
from pipeline.runs import lifecycle
from tests.factories import count, leased_chunk, owner_of, pending_run, started_run
from tests.faults.engine import wait_until


def test_the_migrated_schema_is_what_the_tables_say(database: Database) -> None:
    with database.engine.begin() as connection:
        command.check(alembic_config(connection))


@pytest.mark.parametrize("table", ["outcomes", "deferrals"])
def test_what_goes_with_a_contact_is_found_by_the_first_columns_of_its_key(database: Database, table: str) -> None:
    """Where they are not the first, PostgreSQL before 18 reads all rows of the run for each contact deleted."""
    catalogue = inspect(database.engine)
    of_contact = catalogue.get_pk_constraint("contacts")["constrained_columns"]

    assert catalogue.get_pk_constraint(table)["constrained_columns"][:2] == of_contact


def test_migrating_twice_changes_nothing(database: Database) -> None:
    migrate(database)

    assert is_migrated(database)


def test_a_database_without_the_schema_is_recognised(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))

    assert not is_migrated(database)


def test_a_database_without_any_table_is_recognised(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))

    assert not is_migrated(database)


def test_the_newest_revision_is_the_one_that_migrating_leads_to(database: Database) -> None:
    with database.engine.begin() as connection:
        script = ScriptDirectory.from_config(alembic_config(connection))

    assert newest_revision() == script.get_current_head()


def test_a_migration_that_waits_for_a_table_blocks_no_other_transaction(database: Database) -> None:
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "0010")

    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as exporting, idle_transaction_allowed(exporting):
            exporting.execute(text("SELECT count(*) FROM runs"))
            migrating = pool.submit(migrate, database)
            wait_until(lambda: waits_for_runs(database), "a migration that waits", seconds=10)
            with database.transaction() as session:
                assert count(session, "SELECT count(*) FROM runs") == 0
        migrating.result(timeout=30)

    assert is_migrated(database)


def test_a_migration_that_stays_blocked_ends_and_says_whose_transaction_blocks_it(
    database: Database, database_url: str
) -> None:
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "0010")
    reader = open_database(database_url, application_name="a-report")

    with closing(reader), reader.transaction() as reporting:
        reporting.execute(text("SELECT count(*) FROM runs"))
        with pytest.raises(DatabaseInUse) as blocked:
            migrate(database, patience_s=0)

    assert re.fullmatch(
        r"The tables are in use by a transaction of a-report, open since 20\S+ \d\d:\d\d:\d\d UTC\. End it, .+\.",
        str(blocked.value),
    )


def waits_for_runs(database: Database) -> bool:
    waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'runs'::regclass AND NOT granted"
    with database.transaction() as session:
        return count(session, waiting) > 0


def test_chunks_that_stopped_runs_left_behind_are_stopped(database: Database) -> None:
    run_id, working = started_run(database, count=4), started_run(database, count=4)
    leased = leased_chunk(database, run_id)
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "0006")
        connection.execute(
            text("UPDATE runs SET status = 'cancelled', finished_at = now() WHERE id = :id"), {"id": run_id}
        )

    migrate(database)

    with database.transaction() as session:
        left = session.execute(text("SELECT run_id, number, status FROM run_chunks ORDER BY run_id, number")).all()
    assert [tuple(row) for row in left] == [
        (run_id, leased.number, "stopped"),
        (run_id, 1, "stopped"),
        (working, 0, "open"),
        (working, 1, "open"),
    ]


def test_stored_words_and_states_get_their_new_names(database: Database) -> None:
    """Of a run whose data was being deleted, and of one that is at work."""
    kinds = import_module("models.migrations.versions.0012_words").KINDS
    working, retracted = started_run(database, count=4), started_run(database, count=4)
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "0011")
        for statement in (
            "INSERT INTO run_events (run_id, kind) SELECT :working, unnest(CAST(:kinds AS text[]))",
            """INSERT INTO run_events (run_id, kind, detail) VALUES (:working, 'step_failed', '{"step": "claim"}')""",
            """UPDATE runs SET trouble = '{"step": "claim", "times": 1}' WHERE id = :working""",
            "UPDATE runs SET status = 'cancelled', finished_at = now() WHERE id = :retracted",
            "DELETE FROM contacts WHERE run_id = :retracted AND input_row = 0",
        ):
            parameters = {"working": working, "retracted": retracted, "kinds": list(kinds)}
            connection.execute(text(statement), {name: parameters[name] for name in text(statement).compile().params})

    migrate(database)

    with database.transaction() as session:
        events = session.execute(
            text("SELECT kind, detail ->> 'step' FROM run_events WHERE run_id = :id ORDER BY id DESC LIMIT 3"),
            {"id": working},
        ).all()
        trouble = session.execute(text("SELECT trouble ->> 'step' FROM runs WHERE id = :id"), {"id": working}).scalar()
        gone = session.execute(text("SELECT id FROM runs WHERE retracted_at IS NOT NULL")).scalars().all()
    assert [tuple(event) for event in events] == [
        ("step_failed", "lease"),
        ("chunk_released", None),
        ("chunk_leased", None),
    ]
    assert trouble == "lease"
    assert gone == [retracted]


def test_entries_of_one_side_get_their_other_side_and_no_balance_changes(database: Database) -> None:
    """Of a run that is over, one that is not, and what both accounts were granted."""
    over, active = pending_run(database), pending_run(database)
    with database.transaction() as session:
        lifecycle.cancel(session, owner_of(database, over), over)
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "0016")
        before = connection.execute(text("SELECT id, credit_balance FROM accounts ORDER BY id")).all()

    migrate(database)

    with database.transaction() as session:
        assert prove(session).mistakes == []
    with database.transaction() as session:
        after = session.execute(text("SELECT id, credit_balance FROM accounts ORDER BY id")).all()
        held = session.execute(text("SELECT run_id, sum(held) FROM credit_ledger GROUP BY run_id")).all()
        granted = count(session, "SELECT sum(issued) FROM credit_ledger")
    assert after == before
    assert {tuple(row) for row in held} == {(None, 0), (over, 0), (active, 12)}
    assert granted == -20_000
