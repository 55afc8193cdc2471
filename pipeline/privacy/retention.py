"""Retention: deletes the data of a finished run some days after its end. Counts, ledger and timeline stay.

`retract` ends access to the data. Its rows are then left to the partition of its week, which the sweeper empties when
no run of that week has data that somebody may see (`models.partitions`). That costs a few pages for millions of rows.

Where that would take long the rows are deleted one by one: of a run whose partition is not that of the week of its end,
and of all runs if `retention_days` are few. Small steps keep locks short. `delete_contacts` deletes a batch, and
`models.transitions.expire_run` records that all is deleted. That is the last step, so that a run whose expiry was
interrupted is found again. Each step may be repeated.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, text, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from models.artifact import Artifact
from models.contact import Contact
from models.database import changed_rows
from models.lookup import Lookup
from models.partitions import DATA, FIRST, WEEK, Partition, lock_alone, partitions, time_of
from models.pauses import in_seconds
from models.provider_answer import ProviderAnswer
from models.run import Run
from models.run_chunk import RunChunk
from models.transitions import forget_exports, lock_run, retract_run
from models.verification import Verification
from pipeline.results import stored_files

BATCH = 1000
"""Rows deleted in one transaction, not counting the outcomes and deferrals of contacts."""


WAITING_DAYS = 10
"""How long the rows of a run whose retention has ended wait for their partition: a week, the time that a run of the
week's last hour may take (`RUN_HOURS`), and a day on which the partition is in use."""
LEAST_DAYS = 30
"""With a shorter retention rows do not wait: it would be longer by a third and more."""

# Each half reads the beginning of the same index.
FIND_EXPIRED = text("""
SELECT id FROM (
  (SELECT id, finished_at FROM runs
   WHERE expired_at IS NULL AND finished_at IS NOT NULL AND delete_rows_at IS NULL
     AND finished_at < now() - make_interval(secs => 86400 * CAST(:days AS float))
   ORDER BY delete_rows_at, finished_at LIMIT :count)
  UNION ALL
  (SELECT id, finished_at FROM runs
   WHERE expired_at IS NULL AND finished_at IS NOT NULL AND delete_rows_at <= now()
   ORDER BY delete_rows_at, finished_at LIMIT :count)
) AS expired
ORDER BY finished_at LIMIT :count
""")
HAS_DATA = text("""
SELECT EXISTS (SELECT FROM runs WHERE id >= :from_id AND id < :beyond_id AND retracted_at IS NULL)
""")
HAS_UNEXPIRED = text("""
SELECT EXISTS (SELECT FROM runs WHERE id >= :from_id AND id < :beyond_id AND expired_at IS NULL)
""")


def find_expired(session: Session, days: float, limit: int = 10_000) -> Sequence[UUID]:
    """Find finished runs whose retention has ended, oldest first, and those whose rows have waited for too long."""
    return session.scalars(FIND_EXPIRED, {"days": days, "count": limit}).all()


def may_wait(session: Session, run: Run, days: float) -> bool:
    """Whether the rows of a run whose retention has ended can be left to the partition of its week, or are already."""
    if run.delete_rows_at is not None:
        return bool(session.scalar(select(Run.delete_rows_at > func.now()).where(Run.id == run.id)))
    if days < LEAST_DAYS or run.finished_at is None:
        return False
    latest = run.finished_at + WEEK
    homes = [each for each in partitions(session, DATA) if each.has(run.id)]
    return len(homes) == len(DATA) and all(each.beyond and time_of(each.beyond) <= latest for each in homes)


def retract(session: Session, run: Run) -> None:
    """End all access to the run's data: nothing is shown, exported or retried. The caller must have locked the run."""
    retract_run(session, run.id)
    for table in (Artifact, RunChunk):
        session.execute(delete(table).where(table.run_id == run.id))
    stored_files.let_go(session, run.id)
    forget_exports(session, run.id)
    session.refresh(run)


def delete_contacts(session: Session, run_id: UUID, first_position: int) -> None:
    """Delete a batch of contacts from this position on, with their outcomes and deferrals."""
    lock_run(session, run_id)
    batch = Contact.position.between(first_position, first_position + BATCH - 1)
    session.execute(delete(Contact).where(Contact.run_id == run_id, batch).execution_options(synchronize_session=False))


def lock_retracted(session: Session, week: Sequence[Partition]) -> bool:
    """Lock the partitions of a week alone; returns whether all of its runs are retracted.

    Only those who read or write these partitions are waited for, and wait. The look comes after the lock: whoever was
    adding a run has committed, or adds its contacts afterwards.
    """
    lock_alone(session, week)
    return not session.scalar(HAS_DATA, _bounds(week))


def lock_expired(session: Session, week: Sequence[Partition]) -> bool:
    """`lock_retracted` for a week whose runs have no rows any more, as their timelines say."""
    lock_alone(session, week)
    return not session.scalar(HAS_UNEXPIRED, _bounds(week))


def _bounds(week: Sequence[Partition]) -> dict[str, UUID | None]:
    return {"from_id": week[0].first or FIRST, "beyond_id": week[0].beyond}


def delete_answers(session: Session, days: float) -> int:
    """Delete a batch of provider answers older than `days`; return how many."""
    key = (ProviderAnswer.account_id, ProviderAnswer.provider, ProviderAnswer.question)
    return _delete_older(session, key, ProviderAnswer.asked_at, days)


def delete_verifications(session: Session, days: float) -> int:
    """Delete a batch of verdicts older than `days`; return how many."""
    key = (Verification.account_id, Verification.address)
    return _delete_older(session, key, Verification.checked_at, days)


def delete_lookups(session: Session, days: float) -> int:
    """Delete a batch of look-ups older than `days`; return how many."""
    return _delete_older(session, (Lookup.account_id, Lookup.person), Lookup.asked_at, days)


def _delete_older(
    session: Session, key: Sequence[InstrumentedAttribute[Any]], since: InstrumentedAttribute[datetime], days: float
) -> int:
    """Delete a batch of rows of the table with these columns, oldest first."""
    # A locked row is just being renewed.
    old = select(*key).where(since < _days_ago(days)).order_by(since).limit(BATCH).with_for_update(skip_locked=True)
    return changed_rows(session, delete(since.class_).where(tuple_(*key).in_(old)))


def _days_ago(days: float) -> ColumnElement[datetime]:
    return in_seconds(-86_400 * days)
