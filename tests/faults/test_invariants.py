"""The checks after a fault. Each must report a violation, or the suite would prove nothing."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from models.database import Database
from models.run_chunk import COMPILE
from pipeline.runs import lifecycle
from tests.factories import (
    LOOKUP,
    VERIFY,
    WORKER,
    finish_chunk,
    found,
    leased_chunk,
    not_found,
    pending_run,
    skipped,
    valid,
)
from tests.faults import invariants, recovery
from tests.faults.engine import WorkedChunk
from tests.faults.reader import Reader
from tests.faults.scene import Injection

BREAKAGES = {
    "outcomes are": "DELETE FROM outcomes WHERE stage = 'email_verify' AND position = 1",
    "unfinished_stages is": "UPDATE run_stages SET status = 'running', finished_at = NULL WHERE stage = 'email_verify'",
    "unfinished_chunks is": "UPDATE run_chunks SET status = 'leased', lease_expires_at = now() WHERE stage = 'compile'",
    "balance is": "UPDATE accounts SET credit_balance = credit_balance + 1",
    "paid is": "UPDATE credit_ledger SET credits = credits + 1, revenue = revenue - 1 WHERE kind = 'rebate'",
    "rebates is": "DELETE FROM credit_ledger WHERE kind = 'rebate'",
    "charges is": "DELETE FROM credit_ledger WHERE kind = 'charge'",
    "completions is": "INSERT INTO run_events (run_id, kind) SELECT id, 'completed' FROM runs",
    "internal_errors is": "UPDATE outcomes SET reason = 'internal_error' WHERE stage = 'email_lookup' AND position = 2",
    "status is": "UPDATE runs SET status = 'cancelled'",
}
START = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def run_id(database: Database) -> UUID:
    """A completed run."""
    run_id = pending_run(database, count=3)
    outcomes = {LOOKUP: [found(0), found(1), not_found(2)], VERIFY: [valid(0), valid(1), skipped(2)]}
    for stage in (LOOKUP, VERIFY, COMPILE):
        with database.transaction() as session:
            lifecycle.begin_stage(session, run_id, stage, WORKER, 10)
        lease = leased_chunk(database, run_id, stage)
        if stage == COMPILE:
            with database.transaction() as session:
                lifecycle.complete(session, lease, [])
        else:
            finish_chunk(database, lease, outcomes[stage])
    return run_id


def violations_of(database: Database, run_id: UUID) -> list[str]:
    with database.transaction() as session:
        return list(invariants.wrong_counts(session, run_id))


def test_a_completed_run_has_no_violations(database: Database, run_id: UUID) -> None:
    assert violations_of(database, run_id) == []


@pytest.mark.parametrize(("violation", "breakage"), BREAKAGES.items(), ids=list(BREAKAGES))
def test_each_wrong_row_of_a_run_is_a_violation(
    database: Database, run_id: UUID, violation: str, breakage: str
) -> None:
    with database.transaction() as session:
        session.execute(text(breakage))

    assert any(line.startswith(violation) for line in violations_of(database, run_id))


def state(percent: int, status: str = "running") -> httpx.Response:
    return httpx.Response(200, json={"status": status, "progress": {"percent": percent}})


def test_a_reader_reports_a_percentage_that_fell_or_is_wrong_and_each_unexpected_response() -> None:
    reader = Reader()

    for response in (state(10), state(9), state(100), httpx.Response(503), httpx.Response(500, text="Oh")):
        reader.record(response)

    assert reader.contradictions == ["percent fell from 10 to 9", "100 percent while running"]
    assert reader.errors == ["500: Oh"]
    assert reader.unanswered == 1


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Path, UUID, dict[str, Any]]:
    """Export files of two contacts, and the state that lists them."""
    run_id = uuid4()
    (tmp_path / str(run_id)).mkdir()
    files = {"csv": "email\r\na@alpha.test\r\nb@alpha.test\r\n", "json": json.dumps([{}, {}])}
    for name, content in files.items():
        (tmp_path / str(run_id) / f"contacts.{name}").write_bytes(content.encode())
    handles = [
        {"format": name, "rows": 2, "sha256": hashlib.sha256(content.encode()).hexdigest()}
        for name, content in files.items()
    ]
    return tmp_path, run_id, {"progress": {"stages": {LOOKUP: {"total": 2}}}, "export_handles": handles}


def test_complete_exports_have_no_violations(exported: tuple[Path, UUID, dict[str, Any]]) -> None:
    assert list(invariants.wrong_exports(*exported)) == []


def test_an_export_that_is_truncated_or_missing_is_a_violation(exported: tuple[Path, UUID, dict[str, Any]]) -> None:
    directory, run_id, state = exported
    (directory / str(run_id) / "contacts.csv").write_text("email\r\na@alpha.test\r\n")
    state["export_handles"].pop()

    assert list(invariants.wrong_exports(directory, run_id, state)) == [
        "exports are ['csv']",
        "the checksum of the csv export is wrong",
        "the csv export has 1 rows and states 2, for 2 contacts",
    ]


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_pause_counts_from_the_injection_even_if_it_lasts_to_the_end() -> None:
    assert recovery.longest_pause([after(1), after(3)], after(2), after(12)) == 9


def test_the_work_that_a_hit_chunk_task_loses_is_the_age_of_its_last_checkpoint_and_counted_once() -> None:
    chunk = WorkedChunk(LOOKUP, 0, WORKER, 0, 49, overdue_s=-5.0)
    injections = [
        Injection("kill_worker", after(0), after(0), (chunk,)),
        Injection("kill_worker", after(1), after(1), (chunk,)),
    ]

    assert list(recovery.seconds_since_checkpoint(injections)) == [3.0]
