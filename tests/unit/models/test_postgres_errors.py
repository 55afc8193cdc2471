"""What errors of Postgres mean, on a real server: nothing else says which class and SQLSTATE they come with."""

import logging
import pickle
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from models.database import Database, check_at_start, open_database
from models.postgres_errors import Meaning, PostgresUnavailable, meaning_of, server_message_of
from tests.factories import pending_run

AWAY = ["08006", "25006", "25P03", "26000", "40001", "40P01", "42P05", "53300", "55P03", "57014", "57P01", "57P03"]
OURS = ["23505", "23514", "22003", "42P01", "42501", "XX000"]
SECRET = " ".join(("Grace", "Hopper"))
CLIENTS = ["22021", "22P05", "54000"]


def error_with(sqlstate: str) -> psycopg.Error:
    error = psycopg.errors.lookup(sqlstate)("Grace Hopper")
    assert error.sqlstate == sqlstate
    return error


@pytest.mark.parametrize(
    ("sqlstate", "meaning"),
    [
        *((state, Meaning.UNAVAILABLE) for state in AWAY),
        *((state, Meaning.OURS) for state in OURS),
        *((state, Meaning.CLIENTS) for state in CLIENTS),
    ],
)
def test_the_sqlstate_decides_whether_sqlalchemy_wrapped_the_error_or_not(sqlstate: str, meaning: Meaning) -> None:
    error = error_with(sqlstate)

    assert meaning_of(error) is meaning
    assert meaning_of(DBAPIError.instance("SELECT 1", None, error, psycopg.Error)) is meaning


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (psycopg.OperationalError("server closed the connection unexpectedly"), Meaning.UNAVAILABLE),
        (psycopg.InterfaceError("the connection is closed"), Meaning.UNAVAILABLE),
        (psycopg.InternalError("received 2 results from command 'COMMIT'"), Meaning.UNAVAILABLE),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), Meaning.CLIENTS),
        (psycopg.ProgrammingError("the query has 1 placeholder but 0 parameters were passed"), Meaning.OURS),
        (ValueError("no error of Postgres"), None),
    ],
)
def test_errors_that_never_reached_the_server_are_distinguished_by_their_class(
    error: Exception, meaning: Meaning | None
) -> None:
    assert meaning_of(error) is meaning


def test_a_server_that_is_read_only_is_unavailable_and_its_connection_is_dropped(database: Database) -> None:
    with database.transaction() as session:
        before = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
        session.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))

    with pytest.raises(PostgresUnavailable, match=r"^ReadOnlySqlTransaction \(25006\)$"), database.transaction() as s:
        s.execute(text("DELETE FROM accounts"))

    with database.transaction() as session:
        assert session.execute(text("SELECT pg_backend_pid()")).scalar_one() != before


def test_a_full_pool_makes_the_database_unavailable_after_its_timeout(database_url: str) -> None:
    full = open_database(database_url, pool_size=1, pool_timeout=0.01)

    with full.transaction() as first, full.transaction() as second:
        first.connection()
        second.connection()
        with pytest.raises(PostgresUnavailable, match=r"^TimeoutError$"), full.transaction() as third:
            third.connection()
    full.close()


def test_a_driver_error_that_sqlalchemy_never_saw_is_translated_too(database: Database) -> None:
    with pytest.raises(PostgresUnavailable, match=r"QueryCanceled \(57014\)"), database.transaction() as session:
        driver = session.connection().connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        driver.execute("SET LOCAL statement_timeout = 1")
        driver.execute("SELECT pg_sleep(1)")


def test_an_error_keeps_the_servers_message_for_operators_when_celery_pickles_it() -> None:
    nowhere = open_database("postgresql://nobody@127.0.0.1:9/none", pool_size=1)
    with pytest.raises(PostgresUnavailable) as caught, nowhere.transaction() as session:
        session.connection()

    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert (str(again), again.server_message) == ("OperationalError", server_message_of(caught.value))
    assert "Connection refused" in again.server_message


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO accounts (id, name) SELECT id, :secret FROM accounts",
        "SELECT CAST(:secret AS integer)",
        "UPDATE runs SET preview_rows = -1 WHERE :secret <> ''",
        "SELECT lo_get(oid(:secret))",
    ],
)
def test_an_error_that_is_logged_holds_no_value_and_no_detail(
    database: Database, statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    pending_run(database)
    with pytest.raises(DBAPIError) as caught, database.transaction() as session:
        session.execute(text(statement), {"secret": SECRET})

    logging.getLogger(__name__).error("it broke", exc_info=caught.value)
    assert meaning_of(caught.value) is Meaning.OURS
    assert type(caught.value.orig).__name__ in caplog.text
    assert "Traceback" in caplog.text
    assert "Hopper" not in caplog.text
    assert "DETAIL" not in caplog.text


def test_a_constraint_that_refused_is_named(database: Database) -> None:
    run_id = pending_run(database)

    with pytest.raises(DBAPIError, match=r"UniqueViolation \(23505\), constraint "), database.transaction() as session:
        session.execute(text("INSERT INTO run_stages SELECT * FROM run_stages WHERE run_id = :id"), {"id": run_id})


def test_a_statement_that_breaks_before_the_server_sees_it_prints_no_parameters(database: Database) -> None:
    with pytest.raises(DBAPIError) as caught, database.transaction() as session:
        session.execute(text("SELECT CAST(:value AS text)"), {"value": "Grace\0Hopper"})

    assert meaning_of(caught.value) is Meaning.CLIENTS
    assert "Hopper" not in str(caught.value)


def test_an_unknown_account_does_not_make_the_database_unavailable(database: Database) -> None:
    with pytest.raises(DBAPIError), database.transaction() as session:
        session.execute(
            text("INSERT INTO suppressions (account_id, sha256, kind) VALUES (:id, sha256('x'), 'hash')"),
            {"id": uuid4()},
        )


def test_a_process_that_starts_without_its_database_logs_neither_host_nor_role(
    caplog: pytest.LogCaptureFixture,
) -> None:
    check_at_start("postgresql://a_role@127.0.0.1:9/none")

    (record,) = caplog.records
    assert record.message == "Postgres is unavailable: OperationalError; `growth doctor` says why"
