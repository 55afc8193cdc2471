"""Short transactions for code that runs on an event loop."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from models.database import Database
from models.postgres_errors import QUERY_CANCELED, PostgresUnavailable, StatementTimeout

RETRY_S = 0.5
MAX_TIMEOUTS = 3

log = logging.getLogger(__name__)

T = TypeVar("T")


async def transact_in_thread(database: Database, work: str, step: Callable[[Session], T]) -> T:
    """Run `step` in a transaction in a thread, and retry while Postgres is unavailable, however long that takes.

    `step` must be safe to repeat. `work` names it in the log. Raises `StatementTimeout` if it was canceled three times
    in a row, and whatever `step` raises.
    """

    def transact() -> T:
        with database.transaction() as session:
            return step(session)

    timeouts = 0
    while True:
        try:
            return await asyncio.to_thread(transact)
        except PostgresUnavailable as error:
            timeouts = timeouts + 1 if error.sqlstate == QUERY_CANCELED else 0
            if timeouts == MAX_TIMEOUTS:
                raise StatementTimeout(str(error)).with_traceback(error.__traceback__) from None
            log.warning("%s: Postgres is unavailable (%s), retrying", work, error)
            await asyncio.sleep(RETRY_S)
