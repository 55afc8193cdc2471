"""The one place that opens transactions and commits them."""

import logging
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

import psycopg
from psycopg.copy import LibpqWriter
from psycopg.types.numeric import Int8Dumper
from sqlalchemy import (
    Connection,
    CursorResult,
    Delete,
    Engine,
    ExceptionContext,
    TextClause,
    Update,
    create_engine,
    event,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.connections import ON_A_CLIENTS_BEHALF, Connector, Timeouts, set_for_transaction, url_of
from models.postgres_errors import (
    DatabaseUnusable,
    PostgresUnavailable,
    hide_data,
    is_of_no_more_use,
    unavailable_translated,
)

MS_PER_CONTACT = 0.5
"""What a contact may add to the time of a statement that handles all contacts of a run: twenty times the usual."""

MOST_UNSENT_BYTES = 4 << 20
"""What COPY may keep in memory for a server that is slower than what makes the rows, until it waits for it."""

IS_READ_ONLY = text("SELECT CAST(current_setting('transaction_read_only') AS boolean)")

# The timeout of the session, plus time for the contacts of a large run. A session without a timeout gets none.
ALLOW_TIME = text("""
SELECT set_config('statement_timeout', least(allowed + CAST(:milliseconds AS bigint), 2147483647)::text, true)
FROM (SELECT (extract(epoch FROM current_setting('statement_timeout')::interval) * 1000)::bigint AS allowed) AS now
WHERE allowed > 0
""")

# The timeouts of the session, or these where they are shorter.
LIMIT_TIME = text("""
SELECT set_config(name, CAST(least(nullif(allowed, 0), most) AS text), true)
FROM (VALUES ('statement_timeout', CAST(:statement_ms AS bigint)), ('lock_timeout', :lock_ms)) AS given (name, most),
LATERAL (SELECT (extract(epoch FROM current_setting(name)::interval) * 1000)::bigint AS allowed) AS now
""")
ALLOW_IDLE = text("""
SELECT before FROM (SELECT current_setting('idle_in_transaction_session_timeout') AS before OFFSET 0) AS now,
  LATERAL set_config('idle_in_transaction_session_timeout', left(before, 0) || '0', true)
""")
LIMIT_IDLE = text("SELECT set_config('idle_in_transaction_session_timeout', :idle_timeout, true)")

PLAN_ANEW = text("DISCARD PLANS")

log = logging.getLogger(__name__)


class Database:
    """A pool of connections to Postgres, and transactions on them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits when the block ends, and rolls back when it raises.

        Raises `models.postgres_errors.PostgresUnavailable` when Postgres can't be reached or refuses for now.
        """
        with unavailable_translated(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def takes_writes(self) -> bool:
        """Whether the server takes writes. If not, all connections are closed: new ones may lead to one that does."""
        with self.transaction() as session:
            is_read_only: bool = session.execute(IS_READ_ONLY).scalar_one()
        if is_read_only:
            self.engine.dispose()
        return not is_read_only

    def close(self) -> None:
        """Close all connections of the pool."""
        self.engine.dispose()


def open_database(
    url: str,
    *,
    pool_size: int = 5,
    application_name: str = "growth-engine",
    timeouts: Timeouts = ON_A_CLIENTS_BEHALF,
    **engine_options: Any,
) -> Database:
    """A database for a `postgresql://` URL; the driver is always psycopg 3. Nothing is connected yet.

    `application_name` tells the connections apart in `pg_stat_activity`.
    """
    engine = create_engine(
        url_of(url),
        pool_size=pool_size,
        max_overflow=pool_size,
        # A restarted Postgres leaves dead connections in the pool: notice them before they are used.
        pool_pre_ping=True,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        **engine_options,
    )
    event.listen(engine, "do_connect", Connector(application_name, timeouts).connect)
    event.listen(engine, "connect", _send_integers_as_bigint)
    event.listen(engine, "begin", set_for_transaction)
    event.listen(engine, "handle_error", _heed_error)
    return Database(engine)


def check_at_start(url: str) -> None:
    """End the process, at its start, if its database can't be used as it is. An unavailable one may come back."""
    database = open_database(url, pool_size=1)
    try:
        with database.transaction() as session:
            session.connection()
    except DatabaseUnusable as error:
        sys.exit(str(error))
    except PostgresUnavailable as error:
        log.warning("Postgres is unavailable: %s; `growth doctor` says why", error)
    finally:
        database.close()


def _send_integers_as_bigint(connection: Any, _record: Any) -> None:
    """The driver sends an integer as the smallest type that holds it, and `smallint + smallint` overflows at 32,767."""
    connection.adapters.register_dumper(int, Int8Dumper)


@contextmanager
def idle_transaction_allowed(session: Session) -> Iterator[None]:
    """For a block that only reads, and writes a file meanwhile: a slow disk must not end its transaction."""
    before = session.execute(ALLOW_IDLE).scalar_one()
    yield
    session.execute(LIMIT_IDLE, {"idle_timeout": before})


def allow_time_for(session: Session, contacts: int) -> None:
    """Give a statement that handles all contacts of a run more time, in proportion to their number."""
    session.execute(ALLOW_TIME, {"milliseconds": round(contacts * MS_PER_CONTACT)})


def limit_time(session: Session, timeouts: Timeouts) -> None:
    """Shorten the timeouts of a transaction for which others wait. Timeouts that are shorter already stay."""
    limits = {"statement_ms": round(timeouts.statement_s * 1000), "lock_ms": round(timeouts.lock_s * 1000)}
    session.execute(LIMIT_TIME, limits)


def plan_anew(session: Session) -> None:
    """Forget the plans that the session keeps. Not needed since checks are triggers, which plan anew themselves."""
    session.execute(PLAN_ANEW)


def allow_any_time(session: Session) -> None:
    """Remove the timeouts of a migration: it may take long on large tables, and waits for other migrations."""
    session.execute(text("SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)"))


def changed_rows(session: Session, statement: Update | Delete) -> int:
    """Run a statement and return how many rows it changed. Objects of the session are not refreshed."""
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)  # noqa: S101 - an UPDATE always gives one; this tells the type checker
    return result.rowcount


def copy_rows(session: Session, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    """Run COPY … FROM STDIN. Raises SQLAlchemy's errors, like any other statement."""
    connection = session.connection()
    with _driver_of(connection, statement) as driver, driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def copy_blocks(session: Session, statement: str, blocks: Iterable[bytes]) -> None:
    """Run COPY … FROM STDIN with data in COPY's own format. Raises as `copy_rows`.

    Blocks that are smaller than a socket's buffer leave at once: the server stores one while the next is made.
    """
    connection = session.connection()
    with _driver_of(connection, statement) as driver, driver.cursor() as cursor:
        writer = LibpqWriter(cursor, flush_threshold=MOST_UNSENT_BYTES)
        with cursor.copy(statement, writer=writer) as copy:
            for block in blocks:
                copy.write(block)


def stream_rows(
    session: Session, statement: TextClause, parameters: Mapping[str, Any], size: int, *, binary: bool = False
) -> Generator[Sequence[tuple[Any, ...]]]:
    """The rows of a query in batches of `size`, while the server goes on with the next ones.

    Without a cursor on the server: neither side waits for the other, and neither holds more than what is on its way.
    With `binary`, bytes come as they are instead of as hexadecimal digits. Whoever stops among the rows must end the
    transaction.
    """
    connection = session.connection()
    sql = str(statement.compile(dialect=connection.dialect))
    at_once = size if psycopg.capabilities.has_stream_chunked() else 1
    with (
        _driver_of(connection, sql) as driver,
        driver.cursor() as cursor,
        closing(cursor.stream(sql, parameters, size=at_once, binary=binary)) as rows,
    ):
        while batch := list(islice(rows, size)):
            yield batch


@contextmanager
def _driver_of(connection: Connection, statement: str) -> Iterator[Any]:
    """The driver's own connection, whose errors are raised as SQLAlchemy's, without values."""
    driver: Any = connection.connection.driver_connection
    try:
        yield driver
    except psycopg.Error as error:
        hide_data(error)
        is_gone = driver.closed or is_of_no_more_use(error)
        if is_gone:
            connection.invalidate(error)
        wrapped = DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=is_gone
        )
        raise wrapped from error


def _heed_error(context: ExceptionContext) -> None:
    """SQLAlchemy's `handle_error`: remove values from errors, and unusable connections from the pool."""
    hide_data(context.original_exception)
    hide_data(context.sqlalchemy_exception)
    if is_of_no_more_use(context.original_exception):
        context.is_disconnect = True
