"""Rows that are read while the server makes them: in batches, with errors and endings like any other statement's."""

from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError

from models.database import Database, idle_transaction_allowed, stream_rows
from models.postgres_errors import PostgresUnavailable

NUMBERS = text("SELECT n FROM generate_series(1, CAST(:count AS int)) n")
BREAKS = text("SELECT CAST(CASE n WHEN 900 THEN :value ELSE '1' END AS int) FROM generate_series(1, 2000) n")
# More than what fits between client and server: the server has not sent all of them when it is told to stop.
MANY = text("SELECT repeat('x', 1000) FROM generate_series(1, 100000)")
PID = text("SELECT pg_backend_pid()")
END_SESSION = text("SELECT pg_terminate_backend(CAST(:pid AS int))")
IDLE = "idle_in_transaction_session_timeout"


@pytest.mark.parametrize("count", [0, 1, 10, 25])
def test_rows_come_in_batches_and_in_order(database: Database, count: int) -> None:
    with database.transaction() as session:
        batches = list(stream_rows(session, NUMBERS, {"count": count}, 10))

    assert [number for batch in batches for (number,) in batch] == list(range(1, count + 1))
    assert all(len(batch) == 10 for batch in batches[:-1])


def test_an_error_among_the_rows_is_sqlalchemys_and_holds_no_value(database: Database) -> None:
    with pytest.raises(DataError) as raised, database.transaction() as session:
        for _ in stream_rows(session, BREAKS, {"value": "Ada Alder"}, 10):
            pass

    assert "Ada" not in str(raised.value)
    assert "Ada" not in str(raised.value.__cause__)


class Stop(Exception):
    """Raised among the rows."""


def test_a_transaction_that_is_left_among_the_rows_leaves_its_session_to_the_next_one(database: Database) -> None:
    with pytest.raises(Stop), database.transaction() as session:
        pid = session.execute(PID).scalar_one()
        with closing(stream_rows(session, MANY, {}, 10)) as batches:
            next(batches)
            raise Stop

    with database.transaction() as session:
        assert session.execute(PID).scalar_one() == pid


def test_a_session_that_ends_among_the_rows_is_a_server_that_is_away(database: Database) -> None:
    with pytest.raises(PostgresUnavailable), database.transaction() as session:
        pid = session.execute(PID).scalar_one()
        for number, _ in enumerate(stream_rows(session, MANY, {}, 10)):
            if number == 5:
                with database.transaction() as other:
                    other.execute(END_SESSION, {"pid": pid})

    with database.transaction() as session:
        assert session.execute(NUMBERS, {"count": 1}).scalar_one() == 1


def test_a_transaction_may_be_idle_within_the_block_only(database: Database) -> None:
    with database.transaction() as session:
        before = session.execute(text(f"SHOW {IDLE}")).scalar_one()
        with idle_transaction_allowed(session):
            within = session.execute(text(f"SHOW {IDLE}")).scalar_one()
        after = session.execute(text(f"SHOW {IDLE}")).scalar_one()

    assert (within, after) == ("0", before)
    assert before != "0"
