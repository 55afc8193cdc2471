"""The suppression list of a run's account: asyncio outside, one short transaction in a thread inside."""

import asyncio
import logging
from collections.abc import Collection, Iterable
from uuid import UUID

from models.database import Database
from models.postgres_errors import PostgresUnavailable
from pipeline.memory.provider_answers import account_of_run
from pipeline.privacy import suppressions

POSTGRES_AWAY = 0.5
"""Seconds between attempts while Postgres is away: nobody is asked before the list is known."""

log = logging.getLogger(__name__)


class PostgresSuppressionList:
    """The list of one run's account."""

    def __init__(self, database: Database, run_id: UUID) -> None:
        self._database = database
        self._run_id = run_id

    async def among(self, digests: Iterable[bytes]) -> Collection[bytes]:
        """Which of these are on the list; waits for a Postgres that is away."""
        asked = frozenset(digests)
        while asked:
            try:
                return await asyncio.to_thread(self._read, asked)
            except PostgresUnavailable as error:
                log.warning("run %s: its list is not known yet: %s", self._run_id, error)
                await asyncio.sleep(POSTGRES_AWAY)
        return frozenset()

    def _read(self, digests: Collection[bytes]) -> Collection[bytes]:
        with self._database.transaction() as session:
            return suppressions.among(session, account_of_run(session, self._run_id), digests)
