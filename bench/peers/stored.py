"""The tables of the peers, and how a result is stored: an upsert, so that what is done twice is stored once."""

import os
import threading
from functools import cache

from psycopg_pool import AsyncConnectionPool, ConnectionPool

from bench.peers.work import DATABASE_URL

UPSERT = """
INSERT INTO results (run_id, stage, position, outcome) VALUES (%s, %s, %s, %s)
ON CONFLICT (run_id, stage, position) DO UPDATE SET outcome = excluded.outcome
"""
UPSERT_ALL = """
INSERT INTO results (run_id, stage, position, outcome)
SELECT %s, %s, * FROM unnest(%s::int[], %s::text[])
ON CONFLICT (run_id, stage, position) DO UPDATE SET outcome = excluded.outcome
"""
FINISH = """
UPDATE runs SET status = 'completed', counted = (SELECT count(*) FROM results WHERE run_id = runs.run_id)
WHERE run_id = %s
"""
CONNECTIONS = 10

_opening = threading.Lock()


def pool() -> ConnectionPool:
    """The pool of this process, opened after any fork, and once however many threads ask for it."""
    with _opening:
        return _pool()


@cache
def _pool() -> ConnectionPool:
    return ConnectionPool(os.environ[DATABASE_URL], min_size=1, max_size=CONNECTIONS, timeout=120, open=True)


@cache
def async_pool() -> AsyncConnectionPool:
    """The pool of this process; it opens with the first use of `execute`."""
    return AsyncConnectionPool(os.environ[DATABASE_URL], min_size=1, max_size=CONNECTIONS, timeout=120, open=False)


async def execute(statement: str, *parameters: object) -> None:
    """Execute one statement and commit it."""
    await async_pool().open()
    async with async_pool().connection() as connection:
        await connection.execute(statement, parameters)
