"""Transactions of the suppression list and the journal, which a chunk waits for."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.connections import IN_THE_BACKGROUND, Timeouts
from models.database import Database, limit_time, open_database
from models.postgres_errors import LOCK_NOT_AVAILABLE, QUERY_CANCELED
from pipeline.errors import StorageFailed
from worker.adapters import transactions
from worker.adapters.transactions import MAX_TIMEOUTS, TIMEOUTS, transact_in_thread


class Failing:
    """A step that fails with these SQLSTATEs, one after the other, and then succeeds."""

    def __init__(self, *sqlstates: str) -> None:
        self.left = list(sqlstates)

    def __call__(self, session: Session) -> str:
        if self.left:
            fault = f"RAISE EXCEPTION 'grace@alpha.test' USING ERRCODE = '{self.left.pop(0)}'"
            session.execute(text(f"DO $$ BEGIN {fault}; END $$"))
        return "done"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "RETRY_S", 0)


def transact(database: Database, step: Failing) -> str:
    return asyncio.run(transact_in_thread(database, "run 7, journal", step))


@pytest.mark.parametrize("sqlstate", [QUERY_CANCELED, "22003"])
def test_what_times_out_at_every_try_or_fails_names_the_work_and_the_fault(database: Database, sqlstate: str) -> None:
    with pytest.raises(StorageFailed, match=r"^run 7, journal, [\w.]+:\d+$") as failed:
        transact(database, Failing(*[sqlstate] * MAX_TIMEOUTS))

    assert failed.value.fault == f"database error {sqlstate}"
    assert "grace" not in str(failed.value)


def test_single_timeouts_are_retried(database: Database) -> None:
    step = Failing(*[QUERY_CANCELED] * (MAX_TIMEOUTS - 1), LOCK_NOT_AVAILABLE, *[QUERY_CANCELED] * (MAX_TIMEOUTS - 1))

    assert transact(database, step) == "done"


def test_a_statement_times_out_long_before_the_time_of_its_chunk_is_up(database_url: str) -> None:
    database = open_database(database_url, pool_size=1, timeouts=IN_THE_BACKGROUND)

    def timeouts(session: Session) -> list[str]:
        return [session.execute(text(f"SHOW {name}")).scalar_one() for name in ("statement_timeout", "lock_timeout")]

    assert asyncio.run(transact_in_thread(database, "run 7, journal", timeouts)) == ["15s", "3s"]
    database.close()


@pytest.mark.parametrize(("allowed_s", "limited"), [(0, "15s"), (600, "15s"), (2, "2s")])
def test_limited_time_is_never_more_than_the_session_has(database_url: str, allowed_s: float, limited: str) -> None:
    database = open_database(database_url, pool_size=1, timeouts=Timeouts(allowed_s, 3))

    with database.transaction() as session:
        limit_time(session, TIMEOUTS)
        assert session.execute(text("SHOW statement_timeout")).scalar_one() == limited
    database.close()
