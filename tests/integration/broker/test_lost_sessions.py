"""Postgres sessions end in the middle of a step: the step is retried at once, not after the lease has expired."""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
import redis
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from models.database import Database
from models.events import EventKind
from models.queries import events_of_run
from models.run import Run
from models.run_chunk import COMPILE
from pipeline.runs import lifecycle
from tests.factories import LOOKUP, VERIFY, WORKER, count, finish_chunk, leased_chunk, not_found, pending_run, skipped
from tests.integration.broker.worker_process import opened_process
from tests.live_copies import live_copy
from worker.chain import begin, load_batch
from worker.chunk_task import ChunkTask
from worker.compile import compile_run
from worker.process import Process

pytestmark = pytest.mark.proof

CONTACTS = 3


@pytest.fixture
def process(database_url: str, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    settings = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url, "EXPORT_DIR": str(tmp_path)}
    with opened_process(settings, monkeypatch) as opened:
        yield opened


@pytest.fixture
def looked_up_run(database: Database) -> UUID:
    """A run whose look-up found no address, so that verifying it needs no server."""
    run_id = pending_run(database, CONTACTS)
    with database.transaction() as session:
        lifecycle.begin_stage(session, run_id, LOOKUP, WORKER, CONTACTS)
    finish_chunk(database, leased_chunk(database, run_id), [not_found(n) for n in range(CONTACTS)])
    return run_id


@pytest.fixture
def verified_run(database: Database, looked_up_run: UUID) -> UUID:
    """A run whose stages are complete, ready to be compiled."""
    with database.transaction() as session:
        lifecycle.begin_stage(session, looked_up_run, VERIFY, WORKER, CONTACTS)
    finish_chunk(database, leased_chunk(database, looked_up_run, VERIFY), [skipped(n) for n in range(CONTACTS)])
    return looked_up_run


@contextmanager
def ending_session_before(database: Database, statement: str) -> Iterator[list[str]]:
    """End the first session that is about to execute such a statement. Collects these statements."""
    ended: list[str] = []

    def end(connection: Connection, _cursor: object, sql: str, *_: object) -> None:
        if statement in sql and not ended:
            ended.append(sql)
            _end_session(database, connection)

    event.listen(database.engine, "before_cursor_execute", end)
    yield ended
    event.remove(database.engine, "before_cursor_execute", end)


@contextmanager
def ending_session_at_commit(
    database: Database, number: int, first: Callable[[psycopg.Connection], object] = psycopg.Connection.commit
) -> Iterator[list[int]]:
    """End the session of the transaction of this number during its COMMIT. Yields the numbers of the commits seen.

    `first` is done before: by default it commits, so that the COMMIT succeeds and is not confirmed.
    """
    commits: list[int] = []

    def end(connection: Connection) -> None:
        commits.append(len(commits) + 1)
        if commits[-1] == number:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            first(driver)
            _end_session(database, connection)
            raise OperationalError("COMMIT", None, psycopg.OperationalError("the connection is lost"))

    event.listen(database.engine, "commit", end)
    yield commits
    event.remove(database.engine, "commit", end)


def _end_session(database: Database, connection: Connection) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (driver.info.backend_pid,))


def kinds(database: Database, run_id: UUID, stage: str | None) -> list[str]:
    """The events of a stage."""
    with database.transaction() as session:
        return [event.kind for event in events_of_run(session, run_id) if event.stage == stage]


def test_a_chain_step_whose_session_ends_while_it_leases_a_chunk_leases_it_on_retry(
    process: Process, database: Database, looked_up_run: UUID
) -> None:
    with ending_session_before(process.database, "UPDATE run_chunks") as ended:
        begun = begin(process, looked_up_run, VERIFY, WORKER, partial(load_batch, process))

    assert ended
    assert begun.lease is not None
    assert kinds(database, looked_up_run, VERIFY).count(EventKind.CHUNK_LEASED) == 1


def test_the_log_names_the_run_and_the_stage_of_a_retried_step(
    process: Process, looked_up_run: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    with ending_session_before(process.database, "UPDATE run_chunks"):
        begin(process, looked_up_run, VERIFY, WORKER, partial(load_batch, process))

    (warning,) = [record.getMessage() for record in caplog.records if record.name == "worker.commit_retry"]
    assert warning.startswith(f"run {looked_up_run}, stage {VERIFY}: Postgres is unavailable")


def test_a_chain_step_whose_lease_was_committed_but_not_confirmed_works_that_chunk(
    process: Process, database: Database, looked_up_run: UUID
) -> None:
    with ending_session_at_commit(process.database, 1) as commits:
        begun = begin(process, looked_up_run, VERIFY, WORKER, partial(load_batch, process))

    assert len(commits) == 2
    assert begun.lease is not None
    assert kinds(database, looked_up_run, VERIFY).count(EventKind.CHUNK_LEASED) == 1


def test_a_chunk_that_another_worker_leased_meanwhile_is_left_to_it(
    process: Process, database: Database, looked_up_run: UUID
) -> None:
    with database.transaction() as session:
        lifecycle.begin_stage(session, looked_up_run, VERIFY, WORKER, CONTACTS)

    def undo_and_let_another_lease_it(driver: psycopg.Connection) -> None:
        driver.rollback()
        assert leased_chunk(database, looked_up_run, VERIFY, "worker-2@test/1")

    with ending_session_at_commit(process.database, 1, undo_and_let_another_lease_it):
        begun = begin(process, looked_up_run, VERIFY, WORKER, partial(load_batch, process))

    assert begun.lease is None


@pytest.mark.parametrize("number", [1, 2])
def test_a_chunk_task_whose_commit_is_not_confirmed_still_reports_that_its_stage_is_complete(
    process: Process, database: Database, looked_up_run: UUID, number: int
) -> None:
    begun = begin(process, looked_up_run, VERIFY, WORKER, partial(load_batch, process))
    assert begun.lease is not None
    with ending_session_at_commit(process.database, number) as commits:
        left = ChunkTask(process, begun.lease, lambda: None).work(has_free_chunks=False)

    assert commits[-1] > number
    assert left is not None
    assert left.complete
    assert kinds(database, looked_up_run, VERIFY).count(EventKind.STAGE_COMPLETED) == 1


# SQLAlchemy does not close the cursor of a session that has ended.
@pytest.mark.filterwarnings("ignore:.*ServerCursor.* was deleted while still open:ResourceWarning")
@pytest.mark.parametrize("statement", ["UPDATE run_chunks", "FROM contacts", "credit_ledger"])
def test_compiling_continues_at_once_when_its_session_ends(
    process: Process, database: Database, verified_run: UUID, statement: str
) -> None:
    with ending_session_before(process.database, statement) as ended:
        compile_run(process, verified_run, WORKER)

    assert ended
    assert_compiled_once(database, verified_run)
    # Collected here, where the warning is expected, and not in a later test.
    gc.collect()


@pytest.mark.parametrize("number", [1, 2])
def test_compiling_with_an_unconfirmed_commit_happens_once_and_readers_see_it(
    process: Process, database: Database, verified_run: UUID, redis_client: redis.Redis, number: int
) -> None:
    with ending_session_at_commit(process.database, number) as commits:
        compile_run(process, verified_run, WORKER)

    assert len(commits) == 3
    assert_compiled_once(database, verified_run)
    with database.transaction() as session:
        copy = live_copy(redis_client, session.get_one(Run, verified_run))
    assert copy is not None
    assert json.loads(copy)["status"] == "completed"


def assert_compiled_once(database: Database, run_id: UUID) -> None:
    with database.transaction() as session:
        assert session.get_one(Run, run_id).status == "completed"
        assert (
            count(session, "SELECT count(*) FROM credit_ledger WHERE run_id = :id AND kind = 'rebate'", id=run_id) == 1
        )
    assert kinds(database, run_id, COMPILE).count(EventKind.CHUNK_LEASED) == 1
