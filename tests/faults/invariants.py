"""What must be true of a run after any fault."""

import csv
import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import Database
from pipeline.ledger import prove
from tests.faults.engine import FaultEngine
from tests.faults.reader import Reader
from tests.faults.recovery import resume_seconds, seconds_since_checkpoint
from tests.faults.renewals import LEASE_S, Renewal
from tests.faults.scene import Injection

STAGES = ("email_lookup", "email_verify")
SINCE_CHECKPOINT_BOUND_S = 1.0
"""The work that a killed process may lose: a checkpoint interval, and some time for a slow machine."""

COUNTS = text("""
SELECT
  (SELECT status FROM runs WHERE id = :run_id) AS status,
  (SELECT count(*) FROM contacts WHERE run_id = :run_id) AS contacts,
  (SELECT count(*) FROM run_chunks WHERE run_id = :run_id AND status <> 'done') AS unfinished_chunks,
  (SELECT count(*) FROM run_stages WHERE run_id = :run_id AND (done <> total OR status <> 'completed'))
    AS unfinished_stages,
  (SELECT count(*) FROM credit_ledger WHERE run_id = :run_id AND kind = 'charge') AS charges,
  (SELECT count(*) FROM credit_ledger WHERE run_id = :run_id AND kind = 'rebate') AS rebates,
  (SELECT -sum(credits) FROM credit_ledger WHERE run_id = :run_id) AS paid,
  (SELECT (preview #>> '{pricing,net_credits}')::int FROM runs WHERE id = :run_id) AS billed,
  (SELECT credit_balance FROM accounts a JOIN runs r ON r.account_id = a.id WHERE r.id = :run_id) AS balance,
  (SELECT sum(l.credits) FROM credit_ledger l JOIN runs r USING (account_id) WHERE r.id = :run_id) AS ledger,
  (SELECT count(*) FROM run_events WHERE run_id = :run_id AND kind = 'completed') AS completions,
  (SELECT count(*) FROM outcomes WHERE run_id = :run_id AND reason = 'internal_error') AS internal_errors
""")

OUTCOMES = text("""
SELECT stage, count(*) AS rows, count(DISTINCT position) AS positions
FROM outcomes WHERE run_id = :run_id GROUP BY stage ORDER BY stage
""")

# Finished under its old lease: the worker may lease the chunk again, like any other.
FINISHED_AFTER_EXPIRY = text("""
SELECT EXISTS (
  SELECT FROM run_events finish
  WHERE finish.run_id = :run_id AND finish.stage = :stage AND finish.kind = 'chunk_finished' AND finish.worker = :worker
    AND (finish.detail ->> 'chunk')::int = :number AND finish.at > :lease_ended_at
    AND NOT EXISTS (
      SELECT FROM run_events lease
      WHERE lease.run_id = :run_id AND lease.stage = :stage AND lease.kind = 'chunk_leased' AND lease.worker = :worker
        AND (lease.detail ->> 'chunk')::int = :number AND lease.at BETWEEN :injected_at AND finish.at
    )
)
""")

LEASES_BEYOND_THE_FIRST = text("""
SELECT count(*) - count(DISTINCT (stage, detail ->> 'chunk')) FROM run_events
WHERE run_id = :run_id AND kind = 'chunk_leased'
""")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The violations, if any, the injected faults, and the measurements.

    `resume_s` is the longest time until work went on. `since_checkpoint_s` is the most work, in seconds, that a hit
    chunk task had not recorded. `leased_again` is the number of leases beyond the first one of each chunk.
    """

    run_id: UUID | None
    violations: tuple[str, ...]
    injected: tuple[str, ...]
    resume_s: float
    since_checkpoint_s: float
    leased_again: int


def judge(
    engine: FaultEngine,
    run_id: UUID,
    readers: Sequence[Reader],
    injections: Sequence[Injection],
    renewals: Collection[Renewal],
    bound_s: float,
) -> Verdict:
    """Check a run that has ended against all guarantees.

    `renewals` show that chunk tasks are working when they have nothing to record for a while.
    """
    with engine.database.transaction() as session:
        resume_s = max(resume_seconds(session, run_id, injections, renewals), default=0.0)
        since_checkpoint_s = max(seconds_since_checkpoint(injections), default=0.0)
        violations = (
            *(each for reader in readers for each in reader.contradictions),
            *(each for reader in readers for each in reader.errors),
            *wrong_counts(session, run_id),
            *_finished_after_expiry(session, run_id, injections),
            *_wrong_ledger(engine.database),
            *wrong_exports(engine.export_dir, run_id, readers[0].state),
            *_over("working again", resume_s, bound_s),
            *_over("worked since the last checkpoint at the injection", since_checkpoint_s, SINCE_CHECKPOINT_BOUND_S),
            *(f"{name} ended by itself" for name in engine.fleet.dead()),
        )
        leased_again = int(session.execute(LEASES_BEYOND_THE_FIRST, {"run_id": run_id}).scalar_one())
    return Verdict(
        run_id,
        violations,
        tuple(injection.fault for injection in injections),
        resume_s,
        since_checkpoint_s,
        leased_again,
    )


def _over(what: str, seconds: float, bound_s: float) -> Iterator[str]:
    if seconds > bound_s:
        yield f"{what}: {seconds:.1f} s, allowed are {bound_s:.0f} s"


def wrong_counts(session: Session, run_id: UUID) -> Iterator[str]:
    """The violations in a completed run's rows, a sentence for each."""
    counts = session.execute(COUNTS, {"run_id": run_id}).one()
    expected = {
        "status": "completed",
        "unfinished_chunks": 0,
        "unfinished_stages": 0,
        "charges": 1,
        "rebates": 1,
        "paid": counts.billed,
        "balance": counts.ledger,
        "completions": 1,
        # No contact is at fault when a process is killed from outside.
        "internal_errors": 0,
    }
    for name, value in expected.items():
        if getattr(counts, name) != value:
            yield f"{name} is {getattr(counts, name)}, not {value}"
    outcomes = [tuple(row) for row in session.execute(OUTCOMES, {"run_id": run_id})]
    if outcomes != [(stage, counts.contacts, counts.contacts) for stage in STAGES]:
        yield f"outcomes are {outcomes} for {counts.contacts} contacts"


def _wrong_ledger(database: Database) -> Sequence[str]:
    with database.transaction() as session:
        return prove(session).mistakes


def _finished_after_expiry(session: Session, run_id: UUID, injections: Sequence[Injection]) -> Iterator[str]:
    """A chunk task that was frozen past its lease must not finish its chunk."""
    injected = [
        (chunk, injection.injected_at) for injection in injections if injection.frozen for chunk in injection.orphans
    ]
    for chunk, injected_at in injected:
        key = {
            "run_id": run_id,
            "stage": chunk.stage,
            "number": chunk.number,
            "worker": chunk.worker,
            "injected_at": injected_at,
            "lease_ended_at": injected_at + timedelta(seconds=LEASE_S),
        }
        if session.execute(FINISHED_AFTER_EXPIRY, key).scalar_one():
            yield f"{chunk.worker} was frozen past its lease on {chunk.stage} {chunk.number}, and finished it"


def wrong_exports(directory: Path, run_id: UUID, state: dict[str, Any]) -> Iterator[str]:
    """The violations in the export files of a completed run with this last `state`."""
    contacts = state["progress"]["stages"][STAGES[0]]["total"]
    handles = {handle["format"]: handle for handle in state["export_handles"]}
    if sorted(handles) != ["csv", "json"]:
        yield f"exports are {sorted(handles)}"
    for export_format, handle in handles.items():
        content = (directory / str(run_id) / f"contacts.{export_format}").read_bytes()
        rows = _rows(export_format, content.decode())
        if hashlib.sha256(content).hexdigest() != handle["sha256"]:
            yield f"the checksum of the {export_format} export is wrong"
        if not contacts == handle["rows"] == rows:
            yield f"the {export_format} export has {rows} rows and states {handle['rows']}, for {contacts} contacts"


def _rows(export_format: str, content: str) -> int:
    return len(json.loads(content)) if export_format == "json" else sum(1 for _ in csv.reader(content.splitlines())) - 1
