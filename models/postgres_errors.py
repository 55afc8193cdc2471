"""What an error of Postgres means, decided by its SQLSTATE, here and nowhere else.

SQLAlchemy's classes are not enough: a server that became read-only raises an `InternalError`, a query canceled by its
timeout an `OperationalError`. The driver's own errors are handled as well, since COPY raises them unwrapped.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import psycopg
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout

AWAY_OR_REFUSING = (
    "08",  # connection exceptions; PgBouncer reports all of its own errors as 08P01
    "25006",  # the server is read-only: a standby, or a primary that was demoted
    "25P03",  # idle in a transaction for too long
    "25P04",  # a transaction that took too long
    "26000",  # a prepared statement that this server connection does not have, behind a pooler
    "40001",  # serialization failure, or a conflict with recovery on a standby
    "40003",  # whether the statement was completed is unknown
    "40P01",  # deadlock
    "42P05",  # a prepared statement that another client made, behind a pooler
    "53",  # out of disk, memory, connections
    "55000",  # such as a lock that can't be taken during recovery
    "55P03",  # a lock was not free within lock_timeout
    "57",  # canceled (57014), shut down, crashed, starting up, database dropped, session idle for too long
    "58000",  # errors of the system below Postgres
    "58030",  # input or output failed
)
"""SQLSTATEs, or their first characters, of what may go well when it is tried again later."""

DEADLOCK, LOCK_NOT_AVAILABLE, QUERY_CANCELED = "40P01", "55P03", "57014"
"""A query is canceled by `statement_timeout`, or by an operator."""
OF_ONE_STATEMENT = {DEADLOCK, LOCK_NOT_AVAILABLE, QUERY_CANCELED}
"""SQLSTATEs after which other statements may well succeed."""

INSUFFICIENT_PRIVILEGE = "42501"

OF_THE_VALUES = (
    "22001",  # too long
    "22021",  # a character that the encoding does not have, such as NUL
    "22P05",  # a character that can't be converted, such as \\u0000 in JSON
    "54",  # a limit of Postgres: too large for an index, too deep, too many
)
"""SQLSTATEs of values that can't be stored, whoever sends them and whenever."""

OF_NO_MORE_USE = ("08", "25006", "26000", "42P05", "57P")
"""SQLSTATEs after which a connection must not be used again, even if it is still open."""


class Meaning(Enum):
    """Who can mend an error: time, we, or the client."""

    UNAVAILABLE = "Postgres can't be reached, or refuses for now: try again later"
    OURS = "a fault of the code or of the schema"
    CLIENTS = "a value that can't be stored"


class PostgresUnavailable(Exception):
    """Raised when Postgres can't be reached, or refuses for now. Whether a COMMIT in progress succeeded is unknown.

    Its text holds the error's class and SQLSTATE, and never a value. `server_message` is the first line of the server's
    message, for operators: it may name the host and the role.
    """

    def __init__(self, text: str, sqlstate: str | None = None, server_message: str = "") -> None:
        super().__init__(text)
        self.sqlstate = sqlstate
        self.server_message = server_message


class StatementTimeout(Exception):
    """Raised when a statement was canceled at every try, each time with SQLSTATE 57014.

    A single cancellation may be an operator's, or due to a busy server, and is worth another try. A statement that is
    canceled each time takes longer than `statement_timeout` allows: waiting for Postgres does not help.
    """

    sqlstate = QUERY_CANCELED


class DatabaseUnusable(PostgresUnavailable):
    """Raised for a database that can't be used as it is. Its text is a sentence that says what to do."""


class DatabaseInUse(PostgresUnavailable):
    """Raised when a migration could not get its locks. Its text is a sentence that says who holds them."""


@contextmanager
def unavailable_translated() -> Iterator[None]:
    """Raise `PostgresUnavailable` for every error that means it; all other errors stay as they are.

    The original is not chained: a traceback would print the server's address and message.
    """
    try:
        yield
    except (DBAPIError, PendingRollbackError, PoolTimeout, psycopg.Error) as error:
        if meaning_of(error) is not Meaning.UNAVAILABLE:
            raise
        translated = PostgresUnavailable(described(error), sqlstate_of(error), server_message_of(error))
        raise translated.with_traceback(error.__traceback__) from None


def meaning_of(error: BaseException) -> Meaning | None:
    """What an error means; None if it does not come from Postgres."""
    if isinstance(error, PostgresUnavailable | PoolTimeout) or _is_left_over(error):
        return Meaning.UNAVAILABLE
    driver_error = _driver_error(error)
    if driver_error is None:
        return None
    sqlstate = sqlstate_of(driver_error)
    if sqlstate is None:
        return _meaning_without_sqlstate(driver_error)
    if sqlstate.startswith(AWAY_OR_REFUSING):
        return Meaning.UNAVAILABLE
    return Meaning.CLIENTS if sqlstate.startswith(OF_THE_VALUES) else Meaning.OURS


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE; None if the server did not send one."""
    if isinstance(error, PostgresUnavailable | StatementTimeout):
        return error.sqlstate
    driver_error = _driver_error(error)
    return (driver_error.diag.sqlstate or driver_error.sqlstate) if driver_error else None


def described(error: BaseException) -> str:
    """Class, SQLSTATE and constraint of an error: all that a log may hold of it."""
    driver_error = _driver_error(error)
    if driver_error is None:
        return str(error) if isinstance(error, PostgresUnavailable) else type(error).__name__
    sqlstate, constraint = sqlstate_of(driver_error), driver_error.diag.constraint_name
    text = type(driver_error).__name__ + (f" ({sqlstate})" if sqlstate else "")
    return text + (f", constraint {constraint}" if constraint else "")


def server_message_of(error: BaseException) -> str:
    """The first line of the server's message: for operators who set it up, never for a log."""
    if isinstance(error, PostgresUnavailable):
        return error.server_message
    driver_error = _driver_error(error)
    if driver_error is None:
        return type(error).__name__
    text = driver_error.diag.message_primary or str(driver_error)
    return next((line.strip() for line in text.splitlines() if line.strip()), type(driver_error).__name__)


def is_of_no_more_use(error: BaseException) -> bool:
    """Whether the connection that raised this must be dropped."""
    return (sqlstate_of(error) or "").startswith(OF_NO_MORE_USE) or _is_out_of_step(error)


def hide_data(error: BaseException | None) -> None:
    """Reduce an error's text to class, SQLSTATE and constraint.

    Messages of Postgres hold values: the first line (`invalid input syntax for type integer: "…"`), DETAIL, and the
    CONTEXT of COPY. Errors of connecting hold none, and keep their text.
    """
    if isinstance(error, psycopg.Error) and error.diag.sqlstate:
        error.args = (described(error),)
    elif isinstance(error, DBAPIError) and (driver_error := _driver_error(error)) and driver_error.diag.sqlstate:
        error.args = (f"({type(driver_error).__module__}) {described(driver_error)}",)


def _meaning_without_sqlstate(error: psycopg.Error) -> Meaning:
    """The driver's own errors: no connection, a lost one, or a value that it can't send."""
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or _is_out_of_step(error):
        return Meaning.UNAVAILABLE
    return Meaning.CLIENTS if isinstance(error, psycopg.DataError) else Meaning.OURS


def _is_out_of_step(error: BaseException) -> bool:
    """Whether answers no longer belong to their statements, as when a pooler's server dies between two of them."""
    return isinstance(error, psycopg.InternalError) and sqlstate_of(error) is None


def _is_left_over(error: BaseException) -> bool:
    """Whether a session is used further after its connection was lost: SQLAlchemy demands a rollback first."""
    return isinstance(error, PendingRollbackError) and error.code == "8s2b"


def _driver_error(error: BaseException) -> psycopg.Error | None:
    wrapped = error.orig if isinstance(error, DBAPIError) else error
    return wrapped if isinstance(wrapped, psycopg.Error) else None
