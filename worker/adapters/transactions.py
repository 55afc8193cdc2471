"""Short transactions for code that runs on an event loop."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from models.connections import Timeouts
from models.database import Database, limit_time
from models.postgres_errors import QUERY_CANCELED, PostgresUnavailable
from pipeline.errors import StorageFailed
from pipeline.runs.trouble import fault_of, place_of

RETRY_S = 0.5
MAX_TIMEOUTS = 3
TIMEOUTS = Timeouts(statement_s=15, lock_s=3)
"""A chunk waits meanwhile: three statements that time out end before its time (`CHUNK_SECONDS`) does by default."""

log = logging.getLogger(__name__)

T = TypeVar("T")


async def transact_in_thread(database: Database, work: str, step: Callable[[Session], T]) -> T:
    """Run `step` in a transaction in a thread, and retry while Postgres is unavailable, however long that takes.

    `step` must be safe to repeat. `work` names it in the log. Raises `StorageFailed` if it timed out three times in a
    row, or failed otherwise.
    """

    def transact() -> T:
        with database.transaction() as session:
            limit_time(session, TIMEOUTS)
            return step(session)

    timeouts = 0
    while True:
        try:
            return await asyncio.to_thread(transact)
        except PostgresUnavailable as error:
            timeouts = timeouts + 1 if error.sqlstate == QUERY_CANCELED else 0
            if timeouts == MAX_TIMEOUTS:
                raise _failed(work, error) from None
            log.warning("%s: Postgres is unavailable (%s), retrying", work, error)
            await asyncio.sleep(RETRY_S)
        except Exception as error:  # noqa: BLE001 - it is raised as another one, without values
            raise _failed(work, error) from None


def _failed(work: str, error: Exception) -> StorageFailed:
    return StorageFailed(f"{work}, {place_of(error)}", fault_of(error))
