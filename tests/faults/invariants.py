"""What must be true of a run after any fault, and how long the engine took to be at work again."""

import csv
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.settings import Settings
from tests.faults.engine import ChunkInHand, FaultEngine
from tests.faults.reader import Reader
from tests.faults.scene import Blow

STAGES = ("email_lookup", "email_verify")
LEASE_S = float(Settings.model_fields["lease_seconds"].default)
UNFLUSHED_BOUND_S = 1.0
"""The work that the death of a process may cost: a flush interval, and as much again where a busy machine is late."""

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

# When anything of the run was moved on: an outcome recorded, a chunk claimed, the run finished.
ACTIVITY = text("""
SELECT at FROM (
  SELECT DISTINCT recorded_at AS at FROM outcomes WHERE run_id = :run_id
  UNION SELECT at FROM run_events WHERE run_id = :run_id AND kind IN ('chunk_claimed', 'chunk_finished', 'completed')
) moments ORDER BY at
""")

TAKEN_UP = text("""
SELECT least(
  (SELECT min(at) FROM run_events WHERE run_id = :run_id AND stage = :stage AND at > :struck_at
     AND kind IN ('chunk_claimed', 'chunk_finished') AND (detail ->> 'chunk')::int = :number),
  (SELECT min(recorded_at) FROM outcomes WHERE run_id = :run_id AND stage = :stage AND recorded_at > :struck_at
     AND position BETWEEN :first AND :last)
)
""")

# Under its old lease, that is: it may have claimed the chunk anew, like anybody.
FINISHED_BY_SLEEPER = text("""
SELECT EXISTS (
  SELECT FROM run_events finish
  WHERE finish.run_id = :run_id AND finish.stage = :stage AND finish.kind = 'chunk_finished' AND finish.worker = :worker
    AND (finish.detail ->> 'chunk')::int = :number AND finish.at > :lease_ended_at
    AND NOT EXISTS (
      SELECT FROM run_events claim
      WHERE claim.run_id = :run_id AND claim.stage = :stage AND claim.kind = 'chunk_claimed' AND claim.worker = :worker
        AND (claim.detail ->> 'chunk')::int = :number AND claim.at BETWEEN :struck_at AND finish.at
    )
)
""")

CLAIMS_BEYOND_THE_FIRST = text("""
SELECT count(*) - count(DISTINCT (stage, detail ->> 'chunk')) FROM run_events
WHERE run_id = :run_id AND kind = 'chunk_claimed'
""")


@dataclass(frozen=True, slots=True)
class Allowed:
    """`resume_s`: within how many seconds all work must go on. `silence_s`: how long a run that is at work may have
    nothing to record, as it waits for a mail server's reply: that long it does not stand still."""

    resume_s: float
    silence_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong (nothing, if all is well), which faults struck, and the measurements.

    `resume_s` is the longest wait for work to go on, `unflushed_s` the most work (in seconds) that a lane had in
    hand and not recorded when it was struck, `claimed_again` how many claims there were beyond each chunk's first.
    """

    run_id: UUID | None
    violations: tuple[str, ...]
    struck: tuple[str, ...]
    resume_s: float
    unflushed_s: float
    claimed_again: int


def judge(
    engine: FaultEngine, run_id: UUID, readers: Sequence[Reader], blows: Sequence[Blow], allowed: Allowed
) -> Verdict:
    """Check a run that is over, against everything that was promised."""
    with engine.database.transaction() as session:
        resume_s = max(_resume_seconds(session, run_id, blows, allowed.silence_s), default=0.0)
        unflushed_s = max(unflushed_seconds(blows), default=0.0)
        violations = (
            *(fall for reader in readers for fall in reader.falls),
            *(refusal for reader in readers for refusal in reader.refusals),
            *wrong_counts(session, run_id),
            *_written_by_the_frozen(session, run_id, blows),
            *wrong_exports(engine.export_dir, run_id, readers[0].state),
            *_over("at work again", resume_s, allowed.resume_s),
            *_over("worked and not flushed when it struck", unflushed_s, UNFLUSHED_BOUND_S),
            *(f"{name} ended by itself" for name in engine.fleet.dead()),
        )
        claimed_again = int(session.execute(CLAIMS_BEYOND_THE_FIRST, {"run_id": run_id}).scalar_one())
    return Verdict(run_id, violations, tuple(blow.fault for blow in blows), resume_s, unflushed_s, claimed_again)


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
    """A lane that slept past its lease must leave its chunk to another."""
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


def _resume_seconds(session: Session, run_id: UUID, blows: Sequence[Blow], silence_s: float) -> Iterator[float]:
    """For each blow: the longest standstill of the whole run, and the wait of each chunk that was in hand."""
    moments = list(session.execute(ACTIVITY, {"run_id": run_id}).scalars())
    ends = [*(blow.struck_at for blow in blows[1:]), moments[-1]]
    for blow, end in zip(blows, ends, strict=False):
        yield longest_standstill(moments, blow.since, end) - silence_s
        for chunk in blow.orphans:
            taken_up_at = _taken_up_at(session, run_id, chunk, blow)
            # A later fault that struck meanwhile may have kept away what the recovery needs: time runs from its end.
            interrupted = [later.since for later in blows if blow.struck_at < later.struck_at < taken_up_at]
            yield (taken_up_at - max([blow.since, *interrupted])).total_seconds()


def longest_standstill(moments: Sequence[datetime], since: datetime, end: datetime) -> float:
    """The longest time without activity between `since` and `end`, in seconds."""
    inside = [since, *(moment for moment in moments if since < moment < end), max(since, end)]
    return max((later - earlier).total_seconds() for earlier, later in pairwise(inside))


def _taken_up_at(session: Session, run_id: UUID, chunk: ChunkInHand, blow: Blow) -> datetime:
    """When somebody worked a chunk again that was in hand when the fault struck."""
    key = {
        "run_id": run_id,
        "stage": chunk.stage,
        "number": chunk.number,
        "struck_at": blow.struck_at,
        "first": chunk.first_position,
        "last": chunk.last_position,
    }
    moment: datetime | None = session.execute(TAKEN_UP, key).scalar_one()
    # Nobody had to: it was finished just before the blow landed.
    return moment or blow.since


def unflushed_seconds(blows: Sequence[Blow]) -> Iterator[float]:
    """How old each struck lane's last flush was: a flush sets the lease's end anew.

    A lane that an earlier blow killed flushes no more: until its lease ends, its chunk looks like one in hand. Nor
    could it flush while an earlier fault kept a server away: its time runs from that server's return.
    """
    struck_before: set[tuple[str, int, str]] = set()
    returned_at: datetime | None = None
    for blow in blows:
        could_flush_for = (blow.struck_at - returned_at).total_seconds() if returned_at else math.inf
        lanes = {(chunk.stage, chunk.number, chunk.worker): LEASE_S + chunk.overdue_s for chunk in blow.orphans}
        yield from (min(seconds, could_flush_for) for lane, seconds in lanes.items() if lane not in struck_before)
        struck_before |= set(lanes)
        if blow.since > blow.struck_at:
            returned_at = blow.since
