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

from tests.faults.engine import FaultEngine
from tests.faults.reader import Reader
from tests.faults.recovery import resume_seconds, seconds_since_checkpoint
from tests.faults.renewals import LEASE_S, Renewal
from tests.faults.scene import Blow

STAGES = ("email_lookup", "email_verify")
SINCE_CHECKPOINT_BOUND_S = 1.0
"""The work that the death of a process may cost: a checkpoint interval, the rest is for a machine that is late."""

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

# Under its old lease, that is: it may have leased the chunk anew, like anybody.
FINISHED_BY_SLEEPER = text("""
SELECT EXISTS (
  SELECT FROM run_events finish
  WHERE finish.run_id = :run_id AND finish.stage = :stage AND finish.kind = 'chunk_finished' AND finish.worker = :worker
    AND (finish.detail ->> 'chunk')::int = :number AND finish.at > :lease_ended_at
    AND NOT EXISTS (
      SELECT FROM run_events lease
      WHERE lease.run_id = :run_id AND lease.stage = :stage AND lease.kind = 'chunk_leased' AND lease.worker = :worker
        AND (lease.detail ->> 'chunk')::int = :number AND lease.at BETWEEN :struck_at AND finish.at
    )
)
""")

LEASES_BEYOND_THE_FIRST = text("""
SELECT count(*) - count(DISTINCT (stage, detail ->> 'chunk')) FROM run_events
WHERE run_id = :run_id AND kind = 'chunk_leased'
""")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong (nothing, if all is well), which faults struck, and the measurements.

    `resume_s` is the longest wait for work to go on, `since_checkpoint_s` the most work (in seconds) that a chunk task
    had in hand and not recorded when it was struck, `leased_again` how many leases there were beyond each chunk's
    first.
    """

    run_id: UUID | None
    violations: tuple[str, ...]
    struck: tuple[str, ...]
    resume_s: float
    since_checkpoint_s: float
    leased_again: int


def judge(
    engine: FaultEngine,
    run_id: UUID,
    readers: Sequence[Reader],
    blows: Sequence[Blow],
    renewals: Collection[Renewal],
    bound_s: float,
) -> Verdict:
    """Check a run that is over, against everything that was promised.

    `renewals` are signs of work where chunk tasks may have nothing to record for a while.
    """
    with engine.database.transaction() as session:
        resume_s = max(resume_seconds(session, run_id, blows, renewals), default=0.0)
        since_checkpoint_s = max(seconds_since_checkpoint(blows), default=0.0)
        violations = (
            *(fall for reader in readers for fall in reader.falls),
            *(refusal for reader in readers for refusal in reader.refusals),
            *wrong_counts(session, run_id),
            *_written_by_the_frozen(session, run_id, blows),
            *wrong_exports(engine.export_dir, run_id, readers[0].state),
            *_over("at work again", resume_s, bound_s),
            *_over("worked since the last checkpoint when it struck", since_checkpoint_s, SINCE_CHECKPOINT_BOUND_S),
            *(f"{name} ended by itself" for name in engine.fleet.dead()),
        )
        leased_again = int(session.execute(LEASES_BEYOND_THE_FIRST, {"run_id": run_id}).scalar_one())
    return Verdict(run_id, violations, tuple(blow.fault for blow in blows), resume_s, since_checkpoint_s, leased_again)


def _over(what: str, seconds: float, bound_s: float) -> Iterator[str]:
    if seconds > bound_s:
        yield f"{what}: {seconds:.1f} s, allowed are {bound_s:.0f} s"


def wrong_counts(session: Session, run_id: UUID) -> Iterator[str]:
    """What is wrong with a completed run's rows, a sentence for each."""
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
        # No record is to blame for the death of a process that was killed from outside.
        "internal_errors": 0,
    }
    for name, value in expected.items():
        if getattr(counts, name) != value:
            yield f"{name} is {getattr(counts, name)}, not {value}"
    outcomes = [tuple(row) for row in session.execute(OUTCOMES, {"run_id": run_id})]
    if outcomes != [(stage, counts.contacts, counts.contacts) for stage in STAGES]:
        yield f"outcomes are {outcomes} for {counts.contacts} contacts"


def _written_by_the_frozen(session: Session, run_id: UUID, blows: Sequence[Blow]) -> Iterator[str]:
    """A chunk task that slept past its lease must leave its chunk to another."""
    struck = [(chunk, blow.struck_at) for blow in blows if blow.frozen for chunk in blow.orphans]
    for chunk, struck_at in struck:
        key = {
            "run_id": run_id,
            "stage": chunk.stage,
            "number": chunk.number,
            "worker": chunk.worker,
            "struck_at": struck_at,
            "lease_ended_at": struck_at + timedelta(seconds=LEASE_S),
        }
        if session.execute(FINISHED_BY_SLEEPER, key).scalar_one():
            yield f"{chunk.worker} slept past its lease on {chunk.stage} {chunk.number}, and finished it"


def wrong_exports(directory: Path, run_id: UUID, state: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the export files of a completed run, whose last `state` is given."""
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
            yield f"the {export_format} export has {rows} rows and says {handle['rows']}, for {contacts} contacts"


def _rows(export_format: str, content: str) -> int:
    return len(json.loads(content)) if export_format == "json" else sum(1 for _ in csv.reader(content.splitlines())) - 1
