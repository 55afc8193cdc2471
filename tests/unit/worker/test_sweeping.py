"""What a sweep does when the broker is unavailable, and when rows are locked."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest
import redis
from sqlalchemy import text

from models.connections import Timeouts
from models.database import Database, open_database
from settings import load_settings
from tests.factories import count, pending_run
from worker.app import make_app
from worker.dispatch import DispatchFailed
from worker.sweeper.broker_marker import KEY, RedisBrokerMarker
from worker.sweeper.sweep import sweep, sweep_or_log

CLOSED_PORT_URL = "redis://127.0.0.1:9/0"


@dataclass
class Standing:
    """The marker of a broker that is available."""

    gone: bool = False
    puts: int = 0

    def is_gone(self) -> bool:
        return self.gone

    def put(self) -> None:
        self.puts += 1


@pytest.fixture(autouse=True)
def broker_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", CLOSED_PORT_URL)
    load_settings.cache_clear()
    # The app of this process may know another broker, from an earlier test.
    monkeypatch.setattr("worker.dispatch.app", make_app())


@pytest.fixture
def due_runs(database: Database) -> None:
    for _ in range(3):
        pending_run(database)
    with database.transaction() as session:
        session.execute(text("UPDATE runs SET resend_at = now() - interval '1 second'"))


@pytest.fixture
def overdue_runs(database: Database) -> tuple[UUID, UUID]:
    runs = pending_run(database), pending_run(database)
    with database.transaction() as session:
        session.execute(text("UPDATE runs SET created_at = now() - interval '2 hours'"))
    return runs


@pytest.fixture
def impatient(database_url: str) -> Iterator[Database]:
    """Connections that wait only a moment for a lock."""
    opened = open_database(database_url, pool_size=1, timeouts=Timeouts(statement_s=10, lock_s=0.05))
    yield opened
    opened.close()


def statuses(database: Database) -> dict[UUID, str]:
    with database.transaction() as session:
        return {row.id: row.status for row in session.execute(text("SELECT id, status FROM runs"))}


@pytest.mark.parametrize(
    "lock",
    [
        "SELECT FROM runs WHERE id = :run_id FOR UPDATE",
        "SELECT FROM accounts WHERE id = (SELECT account_id FROM runs WHERE id = :run_id) FOR UPDATE",
    ],
    ids=["its run", "its account"],
)
def test_an_overdue_run_that_is_locked_holds_up_no_other(
    database: Database, impatient: Database, overdue_runs: tuple[UUID, UUID], lock: str
) -> None:
    locked, other = overdue_runs

    with database.transaction() as holder:
        holder.execute(text(lock), {"run_id": locked})
        sweep(impatient, Standing(), run_hours=1, stage_hours=1)
        assert statuses(database) == {locked: "pending", other: "failed"}

    with database.transaction() as session:
        session.execute(text("UPDATE runs SET retry_at = now()"))
    sweep(impatient, Standing(), run_hours=1, stage_hours=1)
    assert statuses(database) == {locked: "failed", other: "failed"}


def postponed(database: Database) -> int:
    with database.transaction() as session:
        return count(session, "SELECT count(*) FROM runs WHERE resend_at > now() OR resends > 0")


@pytest.mark.usefixtures("due_runs")
def test_a_broker_that_goes_away_after_it_was_asked_postpones_no_run(database: Database) -> None:
    with pytest.raises(DispatchFailed):
        sweep(database, Standing(), run_hours=1, stage_hours=1)

    assert postponed(database) == 0


@pytest.mark.usefixtures("due_runs")
def test_the_timeline_tells_only_of_chains_that_were_sent(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[UUID] = []

    def send_one_chain(run_id: UUID, _preset: str) -> None:
        if sent:
            raise DispatchFailed("the broker is gone")
        sent.append(run_id)

    monkeypatch.setattr("worker.sweeper.sweep.send_chain", send_one_chain)
    with pytest.raises(DispatchFailed):
        sweep(database, Standing(), run_hours=1, stage_hours=1)

    with database.transaction() as session:
        assert session.execute(text("SELECT run_id FROM run_events WHERE kind = 'resent'")).scalars().all() == sent
        assert count(session, "SELECT count(*) FROM runs WHERE resends = 1") == 1


@pytest.mark.usefixtures("due_runs")
def test_a_broker_that_is_away_postpones_no_run(database: Database) -> None:
    away = RedisBrokerMarker(redis.Redis.from_url(CLOSED_PORT_URL))

    with pytest.raises(DispatchFailed):
        sweep(database, away, run_hours=1, stage_hours=1)

    assert postponed(database) == 0


@pytest.mark.usefixtures("due_runs")
def test_the_broker_marker_is_put_back_only_when_all_that_was_lost_is_sent_again(database: Database) -> None:
    broker_marker = Standing(gone=True)

    with pytest.raises(DispatchFailed):
        sweep(database, broker_marker, run_hours=1, stage_hours=1)

    assert broker_marker.puts == 0


def test_the_broker_marker_of_redis_is_gone_after_flushall_until_it_is_put_back(redis_client: redis.Redis) -> None:
    broker_marker = RedisBrokerMarker(redis_client)
    broker_marker.put()
    assert not broker_marker.is_gone()

    redis_client.flushall()
    assert broker_marker.is_gone()

    broker_marker.put()
    assert redis_client.exists(KEY)


@dataclass
class Breaking(Standing):
    """A bug of ours whose error contains a name."""

    def is_gone(self) -> bool:
        raise ValueError("Given Family")


def test_a_sweep_that_breaks_is_followed_by_the_next_one_and_logged_without_personal_data(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    sweep_or_log(database, Breaking(), load_settings())

    (record,) = caplog.records
    assert record.getMessage().startswith("a sweep broke: internal error ValueError, ")
    assert "Given Family" not in caplog.text


@pytest.mark.parametrize("sqlstate", ["25006", "53300", "57014", "40001", "XX000"])
def test_no_error_of_postgres_ends_the_sweeper(
    database: Database, caplog: pytest.LogCaptureFixture, sqlstate: str
) -> None:
    refuse = f"DO $$ BEGIN RAISE EXCEPTION 'Given Family' USING ERRCODE = '{sqlstate}'; END $$"

    class Refusing(Standing):
        def is_gone(self) -> bool:
            with database.transaction() as session:
                session.execute(text(refuse))
            return False

    sweep_or_log(database, Refusing(), load_settings())

    (record,) = caplog.records
    assert sqlstate in record.getMessage()
    assert "Given Family" not in caplog.text
