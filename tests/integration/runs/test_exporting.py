"""Workers write the export files of a finished run once, one at a time, and never an older file over a newer one."""

import csv
import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, select, text
from sqlalchemy.event import listen
from typer.testing import CliRunner

from cli.main import app
from models.database import Database, idle_transaction_allowed
from models.events import EventKind
from models.postgres_errors import QUERY_CANCELED
from models.queries import events_of_run
from models.run import Run
from models.schema import new_id
from pipeline.errors import RunStateConflict, UnknownRun
from pipeline.outcomes import OutcomeStatus, Reason
from pipeline.privacy import erasure
from pipeline.privacy.erasure import Wanted
from pipeline.results.export_lease import MAX_ATTEMPTS, add_formats, finish_export, lease_export, void_exports
from pipeline.runs import lifecycle
from tests.factories import (
    LOOKUP,
    VERIFY,
    WORKER,
    finish_chunk,
    found,
    leased_chunk,
    not_found,
    owner_of,
    pending_run,
    valid,
)
from tests.faults.engine import wait_until
from tests.integration.broker.worker_process import opened_process
from tests.old_runs import OldRuns, OvertakenDatabase, personal_in
from worker.compile import compile_run
from worker.export import export_stopped_run
from worker.process import Process

OTHER = "worker-2@test/2"
OF_COMPLETED = ["contacts.csv", "contacts.json", "gap_report.csv", "verified_contacts.csv"]
"""The files of a run that was completed with its default formats."""


@pytest.fixture
def process(database_url: str, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    settings = {
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        # Celery keeps the first broker that it connects to. No test of this process has one listening there.
        "BROKER_URL": "redis://127.0.0.1:9/0",
        "EXPORT_DIR": str(tmp_path / "exports"),
    }
    with opened_process(settings, monkeypatch) as opened:
        yield opened


class StopsAfter:
    """A flag that is set after so many batches of rows, so that the worker stops."""

    def __init__(self, batches: int) -> None:
        self.batches_left = batches

    def is_set(self) -> bool:
        self.batches_left -= 1
        return self.batches_left < 0


def stopping(process: Process, batches: int) -> Process:
    return replace(process, draining=StopsAfter(batches))


def kinds(database: Database, run_id: UUID) -> list[str]:
    with database.transaction() as session:
        return [event.kind for event in events_of_run(session, run_id)]


def change(database: Database, statement: str) -> None:
    with database.transaction() as session:
        session.execute(text(statement))


CANCELED_READS = (
    "ALTER TABLE contacts RENAME TO readable",
    "CREATE FUNCTION canceled() RETURNS bool LANGUAGE plpgsql AS"
    f" $$ BEGIN RAISE EXCEPTION 'canceled' USING ERRCODE = '{QUERY_CANCELED}'; END $$",
    "CREATE VIEW contacts AS SELECT * FROM readable WHERE canceled()",
)
"""Each statement that reads contacts is canceled, as by `statement_timeout`."""


WAITING_READS = (
    "ALTER TABLE contacts RENAME TO readable",
    "CREATE FUNCTION waited() RETURNS bool LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN true; END $$",
    "CREATE VIEW contacts AS SELECT * FROM readable WHERE waited()",
)
"""Each statement that reads contacts waits for an advisory lock."""


def end_pauses(database: Database) -> None:
    change(database, "UPDATE runs SET export_retry_at = now() WHERE export_retry_at IS NOT NULL")
    change(database, "UPDATE run_chunks SET not_before = now() WHERE not_before IS NOT NULL")


def names(old_runs: OldRuns, run_id: UUID) -> list[str]:
    return sorted(path.name for path in (old_runs.exports / str(run_id)).glob("*"))


def looked_up_run(database: Database, formats: Sequence[str] = ("csv", "json")) -> UUID:
    """A run whose stages are complete, ready to be compiled."""
    run_id = pending_run(database, count=3, export_formats=list(formats))
    for stage, outcomes in ((LOOKUP, [found(n) for n in range(3)]), (VERIFY, [valid(n) for n in range(3)])):
        with database.transaction() as session:
            lifecycle.begin_stage(session, run_id, stage, WORKER, 3)
        finish_chunk(database, leased_chunk(database, run_id, stage), outcomes)
    return run_id


def test_a_message_delivered_several_times_at_once_writes_the_files_once(process: Process, old_runs: OldRuns) -> None:
    run_id = old_runs.unexported_run("cancelled", count=50)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: export_stopped_run(process, run_id, f"worker-{n}@test/1"), range(8)))

    assert kinds(old_runs.database, run_id).count(EventKind.EXPORTED) == 1
    assert names(old_runs, run_id) == ["contacts.csv", "contacts.json"]
    assert old_runs.exports.joinpath(str(run_id), "contacts.csv").read_text().count("\n") == 51


def test_a_message_delivered_again_later_leaves_the_files_as_they_are(process: Process, old_runs: OldRuns) -> None:
    run_id = old_runs.unexported_run("cancelled")
    export_stopped_run(process, run_id, WORKER)
    file = old_runs.exports / str(run_id) / "contacts.csv"
    before = file.stat()

    export_stopped_run(process, run_id, OTHER)

    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("batches", [0, 2, 5], ids=["at the start", "in the middle", "before the last rows"])
def test_a_stopping_worker_leaves_the_export_to_another_at_once(
    process: Process, old_runs: OldRuns, batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.queries.ROWS_AT_ONCE", 5)
    run_id = old_runs.unexported_run("cancelled", count=30)

    export_stopped_run(stopping(process, batches), run_id, WORKER)
    left = names(old_runs, run_id)
    export_stopped_run(process, run_id, OTHER)

    assert left == []
    assert names(old_runs, run_id) == ["contacts.csv", "contacts.json"]
    assert old_runs.state(run_id)["export_handles"]


@pytest.mark.parametrize(
    ("batches", "small"), [(0, 2000), (0, 2), (2, 2)], ids=["small run", "at once", "between rows"]
)
def test_a_stopping_worker_leaves_compiling_to_another_at_once(
    process: Process, old_runs: OldRuns, batches: int, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.queries.ROWS_AT_ONCE", 1)
    monkeypatch.setattr("worker.compile.SMALL", small)
    run_id = looked_up_run(old_runs.database)

    compile_run(stopping(process, batches), run_id, WORKER)
    left = names(old_runs, run_id)
    compile_run(process, run_id, OTHER)

    assert left == []
    with old_runs.database.transaction() as session:
        assert session.get_one(Run, run_id).status == "completed"
        released = [e for e in events_of_run(session, run_id) if e.kind == EventKind.CHUNK_RELEASED]
    assert [(event.worker, event.detail["reason"]) for event in released] == [(WORKER, "the worker stops")]


def test_a_large_run_is_not_compiled_while_another_run_of_its_account_is_exported(
    process: Process, old_runs: OldRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.compile.SMALL", 2)
    exported, compiled = old_runs.unexported_run("cancelled"), looked_up_run(old_runs.database)
    change(old_runs.database, "UPDATE runs SET account_id = (SELECT account_id FROM runs WHERE status = 'cancelled')")

    with old_runs.database.transaction() as session:
        lease = lease_export(session, exported, OTHER, 30)
    assert lease
    compile_run(process, compiled, WORKER)
    with old_runs.database.transaction() as session:
        assert session.get_one(Run, compiled).status == "running"
        finish_export(session, lease, ())
    end_pauses(old_runs.database)
    compile_run(process, compiled, WORKER)

    with old_runs.database.transaction() as session:
        assert session.get_one(Run, compiled).status == "completed"
        assert session.get_one(Run, compiled).exporter is None


def test_a_lease_is_renewed_while_postgres_sends_no_rows_yet(process: Process, old_runs: OldRuns) -> None:
    run_id, ends = old_runs.unexported_run("cancelled"), set()
    for statement in WAITING_READS:
        change(old_runs.database, statement)

    def is_renewed_twice() -> bool:
        with old_runs.database.transaction() as session:
            run = session.get_one(Run, run_id)
        if run.exporter:
            ends.add(run.export_retry_at)
        return len(ends) > 2

    with ThreadPoolExecutor(1) as worker:
        with old_runs.database.transaction() as session, idle_transaction_allowed(session):
            session.execute(text("SELECT pg_advisory_xact_lock(1)"))
            exporting = worker.submit(export_stopped_run, process, run_id, WORKER)
            wait_until(is_renewed_twice, "a lease that is renewed", seconds=20)
            assert not exporting.done()
        exporting.result()

    assert names(old_runs, run_id) == ["contacts.csv", "contacts.json"]


def overtaken(old_runs: OldRuns, run_id: UUID, at: int, happens: Callable[[], object]) -> None:
    """Export a run, and let something happen before the transaction of this number."""
    old_runs.export(run_id, OvertakenDatabase(old_runs.database, happens, at))


@pytest.mark.parametrize(
    "at", [2, 3, 4], ids=["before it deletes old files", "before it writes", "before it publishes"]
)
def test_a_writer_that_was_frozen_leaves_the_files_of_its_successor_alone(old_runs: OldRuns, at: int) -> None:
    run_id = old_runs.unexported_run("cancelled")
    file, seen = old_runs.exports / str(run_id) / "contacts.csv", []

    def another_writes_them() -> None:
        end_pauses(old_runs.database)
        old_runs.export(run_id)
        seen.append(file.stat().st_ino)

    overtaken(old_runs, run_id, at, another_writes_them)

    assert seen == [file.stat().st_ino]
    assert names(old_runs, run_id) == ["contacts.csv", "contacts.json"]
    assert kinds(old_runs.database, run_id).count(EventKind.EXPORTED) == 1


@pytest.mark.parametrize("status", ["cancelled", "completed"])
def test_files_of_killed_writers_are_deleted_by_the_next_export(old_runs: OldRuns, status: str) -> None:
    run_id = old_runs.unexported_run("cancelled") if status == "cancelled" else looked_up_run(old_runs.database)
    place = old_runs.exports / str(run_id)
    place.mkdir(parents=True)
    (place / ".contacts.csv.0123").write_text("Given0 Family0")

    if status == "cancelled":
        old_runs.export(run_id)
    else:
        with old_runs.process() as process:
            compile_run(process, run_id, WORKER)

    assert names(old_runs, run_id) == (OF_COMPLETED if status == "completed" else ["contacts.csv", "contacts.json"])


def test_void_files_are_deleted_even_if_no_new_ones_can_be_written(
    old_runs: OldRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = old_runs.completed_run(days_ago=0)
    with old_runs.database.transaction() as session:
        void_exports(session, session.get_one(Run, run_id))
    monkeypatch.setattr("pipeline.storage.folder._sync", disk_full)

    old_runs.export(run_id)

    assert names(old_runs, run_id) == []
    assert kinds(old_runs.database, run_id)[-1] == EventKind.EXPORT_FAILED


def test_void_files_are_deleted_although_another_run_of_the_account_is_exported(old_runs: OldRuns) -> None:
    run_id, other = old_runs.completed_run(days_ago=0), old_runs.unexported_run("cancelled")
    change(old_runs.database, "UPDATE runs SET account_id = (SELECT account_id FROM runs WHERE status = 'cancelled')")
    with old_runs.database.transaction() as session:
        assert lease_export(session, other, OTHER, 30)
        void_exports(session, session.get_one(Run, run_id))

    old_runs.export(run_id)

    assert names(old_runs, run_id) == []


def test_a_message_delivered_again_while_files_are_written_leaves_them_alone(old_runs: OldRuns) -> None:
    run_id = old_runs.unexported_run("cancelled")
    place = old_runs.exports / str(run_id)
    place.mkdir(parents=True)
    (place / ".contacts.csv.0123").touch()
    with old_runs.database.transaction() as session:
        assert lease_export(session, run_id, OTHER, 30)

    old_runs.export(run_id)

    assert names(old_runs, run_id) == [".contacts.csv.0123"]


def disk_full(_file: object) -> int:
    raise OSError(28, os.strerror(28))


def happens_while_files_are_flushed(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something else happen once before a file is flushed to disk."""
    left, flush = [happens], os.fsync

    def flushed(file: int) -> None:
        if left:
            left.pop()()
        flush(file)

    monkeypatch.setattr("os.fsync", flushed)


def test_a_small_run_is_not_locked_while_its_files_are_written(
    process: Process, old_runs: OldRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = looked_up_run(old_runs.database)
    locked = []

    def lock() -> None:
        with old_runs.database.transaction() as session:
            locked.append(session.scalar(select(Run.id).where(Run.id == run_id).with_for_update(nowait=True)))

    happens_while_files_are_flushed(monkeypatch, lock)
    compile_run(process, run_id, WORKER)

    assert locked == [run_id]
    assert names(old_runs, run_id) == OF_COMPLETED


def test_a_small_run_is_compiled_in_two_transactions(process: Process, old_runs: OldRuns) -> None:
    run_id = looked_up_run(old_runs.database)
    begun: list[Connection] = []
    listen(process.database.engine, "begin", begun.append)

    compile_run(process, run_id, WORKER)

    assert len(begun) == 2
    assert old_runs.state(run_id)["status"] == "completed"


@pytest.mark.parametrize("small", [2000, 2], ids=["small run", "large run"])
def test_a_contact_that_is_erased_while_files_are_written_is_in_no_file(
    process: Process, old_runs: OldRuns, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.compile.SMALL", small)
    run_id = looked_up_run(old_runs.database)

    def erase() -> None:
        with old_runs.database.transaction() as session:
            erasure.erase_contacts(session, run_id, 0, [1], Wanted(), new_id())

    happens_while_files_are_flushed(monkeypatch, erase)
    compile_run(process, run_id, WORKER)
    left = names(old_runs, run_id)
    compile_run(process, run_id, OTHER)

    assert left == []
    assert "Given1" not in old_runs.exports.joinpath(str(run_id), "contacts.csv").read_text()
    assert old_runs.state(run_id)["status"] == "completed"


def test_files_of_killed_writers_are_deleted_when_no_new_ones_can_be_written(
    process: Process, old_runs: OldRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = looked_up_run(old_runs.database)
    place = old_runs.exports / str(run_id)
    place.mkdir(parents=True)
    (place / ".contacts.csv.0123").write_text("Given0 Family0")
    monkeypatch.setattr("pipeline.storage.folder._sync", disk_full)

    compile_run(process, run_id, WORKER)

    assert names(old_runs, run_id) == []


def test_only_their_owner_can_read_exports(old_runs: OldRuns) -> None:
    before = os.umask(0)
    try:
        run_id = old_runs.stopped_run("cancelled")
    finally:
        os.umask(before)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [old_runs.exports, *old_runs.exports.rglob("*")]}
    assert modes == {"exports": 0o700, str(run_id): 0o700, "contacts.csv": 0o600, "contacts.json": 0o600}


def test_an_export_that_kills_its_worker_each_time_is_given_up_and_leaves_no_files(old_runs: OldRuns) -> None:
    run_id = old_runs.unexported_run("cancelled")
    change(old_runs.database, f"UPDATE runs SET export_attempts = {MAX_ATTEMPTS}")

    old_runs.export(run_id)

    assert kinds(old_runs.database, run_id)[-1] == EventKind.EXPORT_GIVEN_UP
    assert old_runs.state(run_id)["export_handles"] == []


def test_an_export_whose_statement_times_out_counts_as_an_attempt_and_waits(old_runs: OldRuns) -> None:
    run_id = old_runs.unexported_run("cancelled")
    for statement in CANCELED_READS:
        change(old_runs.database, statement)

    old_runs.export(run_id)

    with old_runs.database.transaction() as session:
        failed = events_of_run(session, run_id)[-1]
    assert (failed.kind, failed.detail["reason"]) == (EventKind.EXPORT_FAILED, "StatementTimeout")
    assert failed.detail["seconds"] > 0


def test_the_operators_command_requests_an_export_that_was_given_up(
    old_runs: OldRuns, database_url: str, monkeypatch: pytest.MonkeyPatch, process: Process
) -> None:
    run_id = old_runs.unexported_run("cancelled")
    change(old_runs.database, f"UPDATE runs SET export_attempts = {MAX_ATTEMPTS}")
    old_runs.export(run_id)

    requested = CliRunner().invoke(app, ["runs", "export", str(run_id)])
    export_stopped_run(process, run_id, WORKER)
    again = CliRunner().invoke(app, ["runs", "export", str(run_id)])

    assert requested.exit_code == 0
    assert len(old_runs.state(run_id)["export_handles"]) == 2
    assert "The export files of this run are there" in str(again.exception)
    assert personal_in(str(again.exception)) == []


def add(old_runs: OldRuns, run_id: UUID, *formats: str) -> None:
    with old_runs.database.transaction() as session:
        add_formats(session, owner_of(old_runs.database, run_id), run_id, formats)


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_further_format_is_written_beside_the_files_that_are_there(old_runs: OldRuns, status: str) -> None:
    run_id = old_runs.finished_run(status)
    place = old_runs.exports / str(run_id)
    before = (place / "contacts.csv").stat().st_ino

    add(old_runs, run_id, "ndjson", "csv")
    meanwhile = [handle["format"] for handle in old_runs.state(run_id)["export_handles"]]
    old_runs.export(run_id)

    assert meanwhile == ["csv", "json"]
    assert names(old_runs, run_id) == ["contacts.csv", "contacts.json", "contacts.ndjson"]
    assert (place / "contacts.csv").stat().st_ino == before
    handles = {handle["format"]: handle for handle in old_runs.state(run_id)["export_handles"]}
    assert list(handles) == ["csv", "json", "ndjson"]
    assert hashlib.sha256((place / "contacts.ndjson").read_bytes()).hexdigest() == handles["ndjson"]["sha256"]


def test_what_a_killed_writer_of_a_further_format_left_is_deleted_and_no_file_that_is_handed_out(
    old_runs: OldRuns,
) -> None:
    run_id = old_runs.finished_run("completed")
    (old_runs.exports / str(run_id) / ".contacts.xlsx.0123").write_text("Given0 Family0")
    add(old_runs, run_id, "xlsx")

    with old_runs.process() as process:
        export_stopped_run(stopping(process, 0), run_id, WORKER)

    assert names(old_runs, run_id) == ["contacts.csv", "contacts.json"]


def test_after_an_erasure_all_formats_are_written_again(old_runs: OldRuns) -> None:
    run_id = old_runs.finished_run("completed")
    add(old_runs, run_id, "ndjson")
    old_runs.export(run_id)

    with old_runs.database.transaction() as session:
        erasure.erase_contacts(session, run_id, 0, [1], Wanted(), new_id())
    old_runs.export(run_id)

    assert names(old_runs, run_id) == ["contacts.csv", "contacts.json", "contacts.ndjson"]
    assert "Given1" not in (old_runs.exports / str(run_id) / "contacts.ndjson").read_text()


def test_a_format_is_added_to_a_finished_run_of_the_account_only_and_once(old_runs: OldRuns) -> None:
    finished, running = old_runs.finished_run("completed"), looked_up_run(old_runs.database)

    add(old_runs, finished, "csv")
    assert kinds(old_runs.database, finished)[-1] == EventKind.COMPLETED
    with pytest.raises(RunStateConflict, match="This run is running"):
        add(old_runs, running, "xlsx")
    with pytest.raises(UnknownRun), old_runs.database.transaction() as session:
        add_formats(session, owner_of(old_runs.database, running), finished, ["xlsx"])


@pytest.fixture(params=[2000, 2], ids=["small run", "large run"])
def compiled(
    request: pytest.FixtureRequest, process: Process, old_runs: OldRuns, monkeypatch: pytest.MonkeyPatch
) -> UUID:
    """A completed run: one contact is verified, one is risky, for one no address was found."""
    monkeypatch.setattr("worker.compile.SMALL", request.param)
    run_id = pending_run(old_runs.database, count=3)
    risky = valid(1)._replace(status=OutcomeStatus.RISKY, reason=Reason.CATCH_ALL)
    skipped = not_found(2)._replace(status=OutcomeStatus.SKIPPED, reason=Reason.NO_EMAIL)
    for stage, outcomes in ((LOOKUP, [found(0), found(1), not_found(2)]), (VERIFY, [valid(0), risky, skipped])):
        with old_runs.database.transaction() as session:
            lifecycle.begin_stage(session, run_id, stage, WORKER, 3)
        finish_chunk(old_runs.database, leased_chunk(old_runs.database, run_id, stage), outcomes)
    compile_run(process, run_id, WORKER)
    return run_id


def artifacts(old_runs: OldRuns, run_id: UUID) -> dict[str, dict[str, Any]]:
    return {handle["asset_id"]: handle for handle in old_runs.state(run_id)["artifact_handles"]}


def table(old_runs: OldRuns, run_id: UUID, name: str) -> list[dict[str, str]]:
    with (old_runs.exports / str(run_id) / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_completed_run_has_its_artifacts_as_files(old_runs: OldRuns, compiled: UUID) -> None:
    handles = artifacts(old_runs, compiled)

    assert [(name, handle["kind"], handle["rows"]) for name, handle in handles.items()] == [
        ("verified_contacts", "contacts", 1),
        ("all_contacts", "contacts", 3),
        ("gap_report", "report", 2),
        ("run_summary", "summary", 1),
    ]
    for name, file in (("verified_contacts", "verified_contacts"), ("all_contacts", "contacts"), ("gap_report",) * 2):
        data = (old_runs.exports / str(compiled) / f"{file}.csv").read_bytes()
        assert (handles[name]["bytes"], handles[name]["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert all({"label", "expires_at", "download_url"} <= set(handle) for handle in handles.values())
    assert [row["first_name"] for row in table(old_runs, compiled, "verified_contacts.csv")] == ["Given0"]


def test_a_gap_report_has_a_row_for_each_contact_without_a_verified_address_with_reason_and_advice(
    old_runs: OldRuns, compiled: UUID
) -> None:
    rows = table(old_runs, compiled, "gap_report.csv")

    assert [(row["first_name"], row["email_status"]) for row in rows] == [("Given1", "risky"), ("Given2", "not_found")]
    for row in rows:
        reason = Reason(row["email_reason"])
        assert (row["email_explanation"], row["email_advice"]) == (reason.sentence, reason.advice)


def test_after_an_erasure_artifacts_are_listed_without_files_and_then_written_again(
    old_runs: OldRuns, compiled: UUID
) -> None:
    before = artifacts(old_runs, compiled)
    with old_runs.database.transaction() as session:
        erasure.erase_contacts(session, compiled, 0, [1], Wanted(), new_id())
    meanwhile = artifacts(old_runs, compiled)
    old_runs.export(compiled)
    after = artifacts(old_runs, compiled)

    assert list(before) == list(meanwhile) == list(after)
    assert [name for name, handle in meanwhile.items() if "download_url" in handle] == ["run_summary"]
    assert names(old_runs, compiled) == OF_COMPLETED
    assert "Given1" not in (old_runs.exports / str(compiled) / "gap_report.csv").read_text()
    assert after["gap_report"]["rows"] == 1
    assert before["gap_report"]["download_url"] != after["gap_report"]["download_url"]


def test_artifacts_are_in_the_first_format_and_a_run_without_exports_has_none_but_the_count(
    process: Process, old_runs: OldRuns
) -> None:
    workbook, nothing = (looked_up_run(old_runs.database, formats) for formats in (["xlsx", "csv"], []))
    for run_id in (workbook, nothing):
        compile_run(process, run_id, WORKER)

    assert names(old_runs, workbook) == ["contacts.csv", "contacts.xlsx", "gap_report.xlsx", "verified_contacts.xlsx"]
    assert list(artifacts(old_runs, nothing).values()) == [
        {"asset_id": "verified_contacts", "label": "Verified Contacts", "kind": "contacts"}
    ]
