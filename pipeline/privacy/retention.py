"""Retention: the data of a finished run is deleted some days after its end; its counts, ledger and timeline stay.

It is done in small steps, so that no lock is held for long: `retract` takes back all that a client could still get,
`delete_contacts` deletes a batch, `models.transitions.expire_run` notes that all is gone. That comes last, so a run
whose expiry was cut short is found again; and each step may be repeated.
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

BATCH = 1000
"""Rows deleted in one transaction; a contact's outcomes and deferrals are not counted."""


def find_expired(session: Session, days: float, limit: int = 10_000) -> Sequence[UUID]:
    """Finished runs whose data is older than it may get, oldest first."""
    expired = select(Run.id).where(Run.expired_at.is_(None), Run.finished_at < _days_ago(days))
    return session.scalars(expired.order_by(Run.finished_at).limit(limit)).all()


def retract(session: Session, run: Run) -> None:
    """From now on nothing of the run is shown, downloaded, exported or retried. It must be locked by the caller."""
    retract_run(session, run.id)
    for table in (Artifact, RunChunk):
        session.execute(delete(table).where(table.run_id == run.id))
    forget_exports(session, run.id)
    session.refresh(run)


def delete_contacts(session: Session, run_id: UUID, first_position: int) -> None:
    """A batch of contacts from this position on; their outcomes and deferrals go with them."""
    lock_run(session, run_id)
    batch = Contact.position.between(first_position, first_position + BATCH - 1)
    session.execute(delete(Contact).where(Contact.run_id == run_id, batch).execution_options(synchronize_session=False))


def delete_answers(session: Session, days: float) -> int:
    """A batch of providers' answers that are older than they may get; how many there were."""
    key = (ProviderAnswer.account_id, ProviderAnswer.provider, ProviderAnswer.question)
    return _delete_older(session, key, ProviderAnswer.asked_at, days)


def delete_verifications(session: Session, days: float) -> int:
    """A batch of kept verdicts that are older than they may get; how many there were."""
    key = (Verification.account_id, Verification.address)
    return _delete_older(session, key, Verification.checked_at, days)


def delete_lookups(session: Session, days: float) -> int:
    """A batch of kept look-ups that are older than they may get; how many there were."""
    return _delete_older(session, (Lookup.account_id, Lookup.person), Lookup.asked_at, days)


def _delete_older(
    session: Session, key: Sequence[InstrumentedAttribute[Any]], since: InstrumentedAttribute[datetime], days: float
) -> int:
    """Delete a batch of the rows of the table that has these columns, oldest first."""
    # One that is locked is just being asked for again, or renewed.
    old = select(*key).where(since < _days_ago(days)).order_by(since).limit(BATCH).with_for_update(skip_locked=True)
    return changed_rows(session, delete(since.class_).where(tuple_(*key).in_(old)))


def _days_ago(days: float) -> ColumnElement[datetime]:
    return in_seconds(-86_400 * days)
