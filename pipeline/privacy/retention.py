"""Retention: deletes the data of a finished run some days after its end. Counts, ledger and timeline stay.

Small steps keep locks short. `retract` ends access to the data, `delete_contacts` deletes a batch, and
`models.transitions.expire_run` records that all is deleted. That is the last step, so that a run whose expiry was
interrupted is found again. Each step may be repeated.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from models.artifact import Artifact
from models.contact import Contact
from models.database import changed_rows
from models.lookup import Lookup
from models.pauses import in_seconds
from models.provider_answer import ProviderAnswer
from models.run import Run
from models.run_chunk import RunChunk
from models.transitions import forget_exports, lock_run, retract_run
from models.verification import Verification
from pipeline.results import stored_files

BATCH = 1000
"""Rows deleted in one transaction, not counting the outcomes and deferrals of contacts."""


def find_expired(session: Session, days: float, limit: int = 10_000) -> Sequence[UUID]:
    """Find finished runs whose retention has ended, oldest first."""
    expired = select(Run.id).where(Run.expired_at.is_(None), Run.finished_at < _days_ago(days))
    return session.scalars(expired.order_by(Run.finished_at).limit(limit)).all()


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
