"""If the disk does not accept the export files, the run waits, however long, and reports it."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from models.database import Database
from models.queries import events_of_run
from models.run import Run
from models.run_chunk import COMPILE
from pipeline.runs import lifecycle, live_state, stalled
from pipeline.runs.poison import MAX_ATTEMPTS
from tests.factories import LOOKUP, VERIFY, WORKER, finish_chunk, found, leased_chunk, pending_run, valid
from tests.integration.broker.worker_process import opened_process
from worker.compile import compile_run
from worker.process import Process


@pytest.fixture
def export_dir(tmp_path: Path) -> Path:
    """A file in the place of the directory, so that nothing can be written there."""
    place = tmp_path / "exports"
    place.touch()
    return place


@pytest.fixture
def process(database_url: str, valkey_url: str, export_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    settings = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url, "EXPORT_DIR": str(export_dir)}
    with opened_process(settings, monkeypatch) as opened:
        yield opened


@pytest.fixture
def run_id(database: Database) -> UUID:
    """A run whose stages are complete."""
    run_id = pending_run(database, count=2)
    for stage, outcomes in ((LOOKUP, [found(0), found(1)]), (VERIFY, [valid(0), valid(1)])):
        with database.transaction() as session:
            lifecycle.begin_stage(session, run_id, stage, WORKER, 10)
        finish_chunk(database, leased_chunk(database, run_id, stage), outcomes)
    return run_id


def end_pause(database: Database) -> None:
    """End the pause before the next attempt."""
    with database.transaction() as session:
        session.execute(text("UPDATE run_chunks SET not_before = now() WHERE not_before IS NOT NULL"))
        session.execute(text("UPDATE runs SET resend_at = now(), parked_until = NULL"))


def status_of(database: Database, run_id: UUID) -> str:
    with database.transaction() as session:
        return session.get_one(Run, run_id).status


def test_a_run_outlives_more_failures_of_the_disk_than_a_chunk_has_attempts(
    process: Process, database: Database, run_id: UUID, export_dir: Path
) -> None:
    for _ in range(MAX_ATTEMPTS + 1):
        compile_run(process, run_id, WORKER)
        assert status_of(database, run_id) == "running"
        end_pause(database)

    export_dir.unlink()
    compile_run(process, run_id, WORKER)

    assert status_of(database, run_id) == "completed"


def test_compiling_is_not_tried_again_before_the_pause_is_over(
    process: Process, database: Database, run_id: UUID
) -> None:
    compile_run(process, run_id, WORKER)
    compile_run(process, run_id, WORKER)

    with database.transaction() as session:
        assert stalled.find_stalled(session) == []
        leases = [event for event in events_of_run(session, run_id) if event.kind == "chunk_leased"]
    assert [event.stage for event in leases].count(COMPILE) == 1
    end_pause(database)
    with database.transaction() as session:
        assert [run.run_id for run in stalled.find_stalled(session)] == [run_id]


def test_readers_and_the_timeline_show_what_the_run_waits_for(
    process: Process, database: Database, run_id: UUID
) -> None:
    compile_run(process, run_id, WORKER)

    with database.transaction() as session:
        state = json.loads(live_state.build(session, session.get_one(Run, run_id)).body)
        deferred = [event.detail for event in events_of_run(session, run_id) if event.kind == "chunk_deferred"]
    assert "The export files can't be written yet; the next try is at " in state["progress"]["message"]
    assert [detail["reasons"] for detail in deferred] == [["ENOTDIR"]]
