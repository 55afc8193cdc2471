"""The migrations lead to the schema that the tables describe, and keep what is stored."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from uuid import UUID

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from models.database import Database, idle_transaction_allowed, open_database
from models.migrate import alembic_config, migrate
from models.partitions import WEEK, week_of
from models.postgres_errors import DatabaseInUse
from models.queries import events_of_run
from models.revision import is_migrated, newest_revision
from models.schema import new_id
from pipeline.ledger import prove
from pipeline.runs import lifecycle
from pipeline.runs.lifecycle import cancel
from tests.factories import count, leased_chunk, owner_of, pending_run, started_run
from tests.faults.engine import wait_until
from tests.old_runs import clock_shows, homes_of


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


def test_a_migration_to_weeks_copies_no_row_and_keeps_all_of_them(database: Database) -> None:
    """But for those whose clock was ahead: they are few."""
    runs = old_runs_of_one_table(database)
    with database.engine.begin() as connection:
        files = files_of(connection, "")
        rows = rows_in_order(connection)

    migrate(database)

    with database.engine.begin() as connection:
        assert files_of(connection, "_before") == files
        assert rows_in_order(connection) == rows
    assert [homes_of(database, run_id) for run_id in runs] == [{"before"}, {"default"}]
    assert homes_of(database, pending_run(database)) == {"before"}
    with clock_shows(datetime.now(UTC) + timedelta(weeks=2)):
        assert homes_of(database, pending_run(database)) == {f"{week_of(datetime.now(UTC)) + 2 * WEEK:%Y_%m_%d}"}
    with database.transaction() as session:
        cancel(session, owner_of(database, runs[0]), runs[0])
        assert [event.kind for event in events_of_run(session, runs[0])] == ["created", "cancelled"]


def test_weeks_are_put_into_one_table_again_and_taken_apart(database: Database) -> None:
    runs = old_runs_of_one_table(database)
    with database.engine.begin() as connection:
        rows = rows_in_order(connection)
    for _ in range(2):
        migrate(database)
        with database.engine.begin() as connection:
            assert rows_in_order(connection) == rows
            command.downgrade(alembic_config(connection), "0024")
            assert rows_in_order(connection) == rows
            for table, (kind, triggers) in TABLES_BEFORE_WEEKS.items():
                assert shape_of(connection, table) == (kind, triggers)

    migrate(database)
    with database.transaction() as session:
        cancel(session, owner_of(database, runs[1]), runs[1])
        assert [event.kind for event in events_of_run(session, runs[1])] == ["created", "cancelled"]


def test_what_an_operator_did_beforehand_is_used_by_the_migration_to_weeks(
    database: Database, project_root: Path
) -> None:
    old_runs_of_one_table(database, days_ahead=0)
    page = (project_root / "docs/how-to/run-in-production.md").read_text()
    (beforehand,) = re.findall(r"```sql\n(DO .+?)```", page, re.DOTALL)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in re.split(r"\n(?=[A-Z]+ (?:TABLE|UNIQUE))", beforehand.strip()):
            connection.exec_driver_sql(statement.replace("%", "%%"))
        key = connection.scalar(text("SELECT CAST('before_partitions' AS regclass)::oid"))
        assert key is not None

    migrate(database)

    with database.engine.begin() as connection:
        assert connection.scalar(text("SELECT conindid FROM pg_constraint WHERE conindid = :key"), {"key": key}) == key
        left = "SELECT count(*) FROM pg_constraint WHERE conname = 'before_partitions'"
        assert connection.scalar(text(left)) == 0
    assert homes_of(database, pending_run(database)) == {"before"}


def test_who_may_read_and_write_a_table_may_do_so_when_it_has_weeks(database: Database) -> None:
    role = f"role_{new_id().hex}"
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "0024")
        connection.execute(text(f"CREATE ROLE {role}"))
        connection.execute(text(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO {role}"))

    migrate(database)

    run_id = pending_run(database)
    try:
        with database.transaction() as session:
            session.execute(text(f"SET LOCAL ROLE {role}"))
            for table in TABLES_BEFORE_WEEKS:
                count(session, f"SELECT count(*) FROM {table}")
            session.execute(text("INSERT INTO run_events (run_id, kind) VALUES (:id, 'noted')"), {"id": run_id})
    finally:
        with database.engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))


TABLES_BEFORE_WEEKS = {
    "contacts": ("r", {"delete_with_contacts", "truncate_with_contacts", "same_contact"}),
    "outcomes": ("r", {"contacts_exist", "same_contact"}),
    "deferrals": ("r", {"contacts_exist", "same_contact"}),
    "run_events": ("r", set()),
}


def old_runs_of_one_table(database: Database, days_ahead: int = 400) -> list[UUID]:
    """A database of the release before, with a run of its own and one whose clock was ahead."""
    runs = [worked_run(database)]
    with clock_shows(datetime.now(UTC) + timedelta(days=days_ahead)):
        runs.append(worked_run(database))
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "0024")
    return runs


def worked_run(database: Database) -> UUID:
    run_id = pending_run(database)
    with database.transaction() as session:
        for statement in (
            "INSERT INTO outcomes (run_id, stage, position, status, reason, score, evidence) "
            "SELECT run_id, 'email_lookup', position, 'not_found', 'syntax', 0, '{}' FROM contacts WHERE run_id = :id",
            "INSERT INTO deferrals (run_id, stage, position, times, until, reason) "
            "SELECT run_id, 'email_verify', position, 1, now(), 'greylisted' FROM contacts WHERE run_id = :id",
        ):
            session.execute(text(statement), {"id": run_id})
    return run_id


def files_of(connection: Connection, suffix: str) -> list[int]:
    """The files of the tables and of their keys: others if rows were copied."""
    files = "SELECT pg_relation_filenode(CAST(:name AS regclass))"
    return [connection.execute(text(files), {"name": f"{name}{suffix}"}).scalar_one() for name in TABLES_BEFORE_WEEKS]


def rows_in_order(connection: Connection) -> list[list[str]]:
    return [
        list(connection.scalars(text(f"SELECT CAST(t AS text) AS row FROM {table} t ORDER BY row")))
        for table in TABLES_BEFORE_WEEKS
    ]


def shape_of(connection: Connection, table: str) -> tuple[str, set[str]]:
    kind = "SELECT relkind FROM pg_class WHERE oid = CAST(:name AS regclass)"
    triggers = "SELECT tgname FROM pg_trigger WHERE tgrelid = CAST(:name AS regclass) AND NOT tgisinternal"
    return (
        connection.execute(text(kind), {"name": table}).scalar_one(),
        set(connection.scalars(text(triggers), {"name": table})),
    )


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
