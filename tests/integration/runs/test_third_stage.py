"""A new stage is one module and one line: the engine works it, counts it, exports it, retries it and erases from it."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from cli.local.processes import Engine, running_engine, worker_command
from models.database import Database
from models.queries import exports_of_run
from models.run import Run
from models.schema import new_id
from models.status import RunStatus
from models.wire import ContactIn, RunState
from pipeline import stages
from pipeline.credits import RateCard
from pipeline.privacy import erasure
from pipeline.privacy.erasure import Wanted
from pipeline.runs import lifecycle, live_state
from pipeline.runs.create import create_run
from pipeline.runs.retry import retry_run
from sandbox.internet import Internet
from tests.factories import LOOKUP, VERIFY, account, order_of
from tests.integration.conftest import Population, contacts_of
from tests.integration.runs.third_stage import GATE, NAME, SPEC

CONTACTS, ERASED = 12, 1


@pytest.fixture(autouse=True)
def third_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "STAGES", (*stages.STAGES, SPEC))


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    directory = tmp_path / "exports"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def engine(
    internet: Internet,
    database_url: str,
    valkey_url: str,
    tmp_path: Path,
    gate: Path,
    exports: Path,
    project_root: Path,
) -> Iterator[Engine]:
    """One worker, on real servers; no sweeper, so that deferred contacts stay deferred."""
    environment = {
        **internet.settings(),
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "EXPORT_DIR": str(exports),
        "PYTHONPATH": str(project_root),
        GATE: str(gate),
    }
    with running_engine(environment, gate.with_name("logs")) as running:
        command = [part.replace("worker.app", "tests.integration.runs.third_stage") for part in worker_command("w", 1)]
        running.start("worker", *command)
        yield running


def send(engine: Engine, run_id: UUID) -> None:
    command = [sys.executable, "-m", "tests.integration.runs.third_stage", str(run_id)]
    subprocess.run(command, env={**os.environ, **engine.environment}, check=True)


def state_of(database: Database, run_id: UUID) -> RunState:
    with database.transaction() as session:
        run = session.get_one(Run, run_id, populate_existing=True)
        return RunState.model_validate_json(live_state.build(session, run).body)


def outcomes_of(database: Database, run_id: UUID, position: int) -> dict[str, tuple[str, str]]:
    query = "SELECT stage, status, reason FROM outcomes WHERE run_id = :run_id AND position = :position"
    with database.transaction() as session:
        rows = session.execute(text(query), {"run_id": run_id, "position": position}).all()
    return {row.stage: (row.status, row.reason) for row in rows}


def exported(database: Database, exports: Path, run_id: UUID) -> list[dict[str, Any]]:
    with database.transaction() as session:
        (file,) = exports_of_run(session, run_id)
    with (exports / file.storage_key).open(newline="") as lines:
        return list(csv.DictReader(lines))


def people(population: Population) -> Sequence[ContactIn]:
    return [ContactIn.model_validate(dict(contact)) for contact in contacts_of(population.hundred[:CONTACTS])]


def test_a_third_stage_is_worked_counted_exported_retried_and_erased_from(
    engine: Engine, database: Database, population: Population, gate: Path, exports: Path
) -> None:
    owner = account(database).account_id
    with database.transaction() as session:
        order = order_of(people(population), export_formats=["csv"])
        run_id = create_run(session, owner, order, rate_card=RateCard()).run_id
    send(engine, run_id)

    # One contact waits in the third stage.
    engine.wait_until(lambda: "1 contact waits" in state_of(database, run_id).progress.message, "the third stage", 90)
    state = state_of(database, run_id)
    assert state.stage_status == {LOOKUP: "completed", VERIFY: "completed", NAME: "running"}
    assert SPEC.message in state.progress.message
    assert (state.progress.stages[NAME].done, state.progress.stages[NAME].total) == (CONTACTS - 1, CONTACTS)
    assert state.progress.percent == 100 * (100 + 100 * (CONTACTS - 1) / CONTACTS) // 200

    # A contact is erased meanwhile.
    with database.transaction() as session:
        erasure.erase_contacts(session, run_id, 0, [ERASED], Wanted(), new_id())
    assert outcomes_of(database, run_id, ERASED) == {
        LOOKUP: ("not_found", "suppressed"),
        VERIFY: ("skipped", "suppressed"),
        NAME: ("unknown", "suppressed"),
    }

    # A retry copies the third stage's outcomes, and works the contact that was deferred.
    with database.transaction() as session:
        lifecycle.cancel(session, owner, run_id)
        retried = retry_run(session, owner, run_id).run_id
    before = state_of(database, retried).progress.stages
    assert [before[stage].done for stage in (LOOKUP, VERIFY, NAME)] == [CONTACTS, CONTACTS, CONTACTS - 1]
    gate.touch()
    send(engine, retried)
    engine.wait_until(lambda: state_of(database, retried).status == RunStatus.COMPLETED, "the retry", 90)

    # The exports have the verdicts of the third stage, which judges last.
    state = state_of(database, retried)
    rows = exported(database, exports, retried)
    statuses = [row["email_status"] for row in rows if row["email"]]
    assert len(rows) == CONTACTS - 1
    assert set(statuses) == {"valid", "risky"}
    assert state.preview["verdicts"] == {status: statuses.count(status) for status in ("valid", "risky")}
    assert state.preview["delivered_counts"] == {
        "delivered_contacts": len(statuses),
        "verified_emails": statuses.count("valid"),
    }
    assert state.gap_report["unverified_reasons"]["role_account"]["count"] == statuses.count("risky")
    assert state.gap_report["reasons"]["suppressed"]["count"] == 1
    assert state.progress.percent == 100
