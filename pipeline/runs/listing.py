"""An account's runs, newest first, page by page."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.orm import Session

from models.run import Run
from models.run_stage import RunStage
from models.status import RunStatus
from pipeline.runs.progress import StageCount, percent

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MOST_COUNTED = 10_000

# The newest ones only, from the index that the list itself reads.
COUNTS = text("""
SELECT status, count(*) AS runs
FROM (SELECT status FROM runs WHERE account_id = :account_id ORDER BY created_at DESC LIMIT :most) AS newest
GROUP BY status
""")


class Place(NamedTuple):
    """Where a page ended: the run that was its last."""

    created_at: datetime
    run_id: UUID

    def __str__(self) -> str:
        return f"{(self.created_at - EPOCH) // MICROSECOND}-{self.run_id.hex}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """The place that `str` wrote. Raises `ValueError`, `OverflowError`."""
        microseconds, _, run_id = text.partition("-")
        return cls(EPOCH + int(microseconds) * MICROSECOND, UUID(run_id))


class Wanted(NamedTuple):
    """Which runs are listed: all of them, or those of a status, a preset, or a time."""

    status: str | None = None
    preset: str | None = None
    since: datetime | None = None


class ListedRun(NamedTuple):
    """A run in a list."""

    run: Run
    percent: int

    @property
    def place(self) -> Place:
        return Place(self.run.created_at, self.run.id)


def list_runs(
    session: Session, account_id: UUID, wanted: Wanted, after: Place | None, limit: int
) -> Sequence[ListedRun]:
    """A page of an account's runs."""
    statement = select(Run).where(Run.account_id == account_id)
    if wanted.status:
        statement = statement.where(Run.status == wanted.status)
    if wanted.preset:
        statement = statement.where(Run.preset == wanted.preset)
    if wanted.since:
        statement = statement.where(Run.created_at >= wanted.since)
    if after:
        statement = statement.where(tuple_(Run.created_at, Run.id) < (after.created_at, after.run_id))
    runs = session.scalars(statement.order_by(Run.created_at.desc(), Run.id.desc()).limit(limit)).all()
    return _with_percent(session, runs)


def count_by_status(session: Session, account_id: UUID) -> Mapping[str, int]:
    """How many of an account's newest `MOST_COUNTED` runs have each status."""
    return dict.fromkeys(RunStatus, 0) | {
        row.status: row.runs for row in session.execute(COUNTS, {"account_id": account_id, "most": MOST_COUNTED})
    }


def listed(session: Session, account_id: UUID, run_ids: Sequence[UUID]) -> Sequence[ListedRun]:
    """Those of these runs that are the account's, as they are in the list."""
    rows = session.scalars(select(Run).where(Run.id.in_(run_ids)).execution_options(populate_existing=True)).all()
    return _with_percent(session, [run for run in rows if run.account_id == account_id])


def _with_percent(session: Session, runs: Sequence[Run]) -> Sequence[ListedRun]:
    counts = _counts(session, [run.id for run in runs if run.status != RunStatus.COMPLETED])
    return [ListedRun(run, percent(run.status, counts.get(run.id, ()))) for run in runs]


def _counts(session: Session, run_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[StageCount]]:
    stages = session.scalars(select(RunStage).where(RunStage.run_id.in_(run_ids)).order_by(RunStage.ordinal))
    counts: defaultdict[UUID, list[StageCount]] = defaultdict(list)
    for row in stages:
        counts[row.run_id].append(StageCount(row.stage, row.status, row.done, row.total))
    return counts
