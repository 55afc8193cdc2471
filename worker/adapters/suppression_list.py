"""The suppression list of a run's account."""

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy.orm import Session

from models.database import Database
from pipeline.memory.provider_answers import account_of_run
from pipeline.privacy import suppressions
from worker.adapters.transactions import transact_in_thread


class PostgresSuppressionList:
    """The list of one run's account."""

    def __init__(self, database: Database, run_id: UUID) -> None:
        self._database = database
        self._run_id = run_id

    async def among(self, digests: Iterable[bytes]) -> Collection[bytes]:
        """Which of these are on the list. Waits while Postgres is unavailable: nobody is asked before it is known."""
        asked = frozenset(digests)
        if not asked:
            return frozenset()

        def read(session: Session) -> Collection[bytes]:
            return suppressions.among(session, account_of_run(session, self._run_id), asked)

        return await transact_in_thread(self._database, f"run {self._run_id}, suppression list", read)
