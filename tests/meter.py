"""The cost of statements in Postgres: the blocks that they access, triggers included, and the rows that they read."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session

from models.database import Database

# Blocks accessed in this transaction. Unlike EXPLAIN, these counts include foreign keys and COPY.
BLOCKS = """
SELECT sum(pg_stat_get_xact_blocks_fetched(c.oid)) FROM pg_class c
WHERE c.relnamespace IN ('public'::regnamespace, 'pg_toast'::regnamespace) AND c.relkind IN ('r', 'i', 't')
"""
EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) "
REMOVED = ("Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck")
PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "(")


class Meter:
    """Measures statements in named steps. Each step is rolled back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.blocks: Counter[tuple[str, str]] = Counter()
        self.rows: Counter[tuple[str, str]] = Counter()
        self.plans: dict[tuple[str, str], Any] = {}
        self._step = ""
        self._before = 0

    @contextmanager
    def measured(self, step: str) -> Iterator[Session]:
        """A transaction that is rolled back. Each of its statements is explained before it is executed."""
        with Session(self._database.engine, expire_on_commit=False) as session:
            connection = session.connection()
            event.listen(connection, "before_cursor_execute", self._before_statement)
            event.listen(connection, "after_cursor_execute", self._after_statement)
            self._step, start = step, _blocks(connection)
            yield session
            session.flush()
            self.blocks[step, "in all"] += _blocks(connection) - start
            session.rollback()

    def _before_statement(
        self, connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> None:
        if not many and statement.lstrip().upper().startswith(PLANNED):
            plan = _plan(connection, statement, parameters)
            self.plans[self._step, _named(statement)] = plan
            self.rows[self._step, _named(statement)] += round(_rows_of(plan))
        self._before = _blocks(connection)

    def _after_statement(
        self, connection: Connection, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool
    ) -> None:
        self.blocks[self._step, _named(statement)] += _blocks(connection) - self._before


def _named(statement: str) -> str:
    return " ".join(statement.split())[:120]


def _blocks(connection: Connection) -> int:
    with _driver(connection).cursor() as cursor:
        return int(cursor.execute(BLOCKS).fetchone()[0])


def _plan(connection: Connection, statement: str, parameters: Any) -> dict[str, Any]:
    with _driver(connection).cursor() as cursor:
        cursor.execute("SAVEPOINT explained")
        ((explained,),) = cursor.execute(EXPLAIN + statement, parameters).fetchall()
        cursor.execute("ROLLBACK TO SAVEPOINT explained")
    plan: dict[str, Any] = explained[0]["Plan"]
    return plan


def _rows_of(plan: dict[str, Any]) -> float:
    # Rows of a bitmap are counted by the node that reads it.
    own = 0 if plan["Node Type"].startswith("Bitmap Index") else plan["Actual Rows"]
    rows = own + sum(plan.get(removed, 0) for removed in REMOVED)
    return float(rows * plan["Actual Loops"]) + sum(map(_rows_of, plan.get("Plans", ())))


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
