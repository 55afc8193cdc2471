"""Retries a failed or cancelled run: a new run continues where it stopped.

The old run keeps its status, which is final. The new run gets copies of the contacts and of each outcome that would be
the same again. It pays only for the contacts that were not delivered.
"""

from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.database import allow_time_for
from models.events import EventKind, add_event
from models.pauses import in_seconds
from models.run import Run
from models.run_stage import RunStage
from models.schema import new_id
from models.status import RunStatus
from models.transitions import lock_run
from pipeline.credits import charge
from pipeline.errors import RunStateConflict, UnknownRun
from pipeline.outcomes import Reason
from pipeline.results.counts import charged, count_outcomes, delivered
from pipeline.runs.create import NEVER_SENT_AFTER_S, CreatedRun
from pipeline.runs.named_hooks import name_same_hooks
from pipeline.stages import address_stages, stages_of

COPIED_COLUMNS = (
    "account_id", "upload_id", "pipeline_id", "preset", "contact_count", "repeats", "made_in_sql", "extra_columns",
    "required_fields", "preview_rows", "export_formats", "fresh", "charge_per_contact", "rebate_per_unresolved",
    "rebate_per_unverified",
)  # fmt: skip

SLICE = 10_000
"""Contacts copied by one statement, so that no statement runs for long."""

COPY_CONTACTS = text("""
INSERT INTO contacts (
  run_id, position, input_row, first_name, last_name, full_name, company, domain, email, extra, erased
)
SELECT :new_id, position, input_row, first_name, last_name, full_name, company, domain, email, extra, erased
FROM contacts WHERE run_id = :old_id AND position BETWEEN :first AND :last
""")

# An outcome is kept if neither it nor an earlier stage's may come out differently. A subquery that gives a value looks
# into the primary key for each row; of a NOT EXISTS the planner may make a join of all with all.
COPY_OUTCOMES = text("""
INSERT INTO outcomes (run_id, stage, position, status, reason, email, source, score, evidence)
SELECT :new_id, o.stage, o.position, o.status, o.reason, o.email, o.source, o.score, o.evidence
FROM outcomes o
WHERE o.run_id = :old_id AND o.position BETWEEN :first AND :last AND o.stage = :stage
  AND (
    SELECT bool_or(e.reason = ANY(:may_pass)) FROM outcomes e
    WHERE e.run_id = :old_id AND e.position = o.position AND e.stage = ANY(:stages)
  ) IS NOT TRUE
""")

COUNT_DONE = text("""
UPDATE run_stages SET done = (
  SELECT count(*) FROM outcomes o WHERE o.run_id = :new_id AND o.stage = run_stages.stage
)
WHERE run_id = :new_id
""")


def retry_run(session: Session, account_id: UUID, run_id: UUID) -> CreatedRun:
    """Create a run that continues where a failed or cancelled one stopped. No message is sent.

    A second retry of the same run returns the same new run. Raises `UnknownRun`, `RunStateConflict` for a run in
    another state or whose data has expired, and `InsufficientCredits`.
    """
    old = lock_run(session, run_id)
    if old is None or old.account_id != account_id:
        raise UnknownRun.with_this_id()
    if old.status not in {RunStatus.FAILED, RunStatus.CANCELLED}:
        raise RunStateConflict(f"This run is {old.status}: only a failed or cancelled one can be retried.")
    earlier = session.scalar(select(Run).where(Run.retry_of == run_id))
    if earlier is not None:
        return CreatedRun(earlier.id, earlier.preset, is_new=False)
    if old.retracted_at:
        raise RunStateConflict("The data of this run has expired and was deleted: create a new run.")
    allow_time_for(session, old.contact_count)
    new = _insert_run(session, old)
    _copy(session, old, new)
    name_same_hooks(session, old, new)
    add_event(session, new.id, EventKind.CREATED, contacts=new.contact_count, preset=new.preset, retry_of=str(old.id))
    add_event(session, old.id, EventKind.RETRIED, retry=str(new.id))
    charge(session, new)
    return CreatedRun(new.id, new.preset, is_new=True)


def _insert_run(session: Session, old: Run) -> Run:
    statement = (
        insert(Run)
        .values(
            id=new_id(),
            retry_of=old.id,
            charged_contacts=0,
            resend_at=in_seconds(NEVER_SENT_AFTER_S),
            **{column: getattr(old, column) for column in COPIED_COLUMNS},
        )
        .returning(Run)
    )
    return session.scalars(statement).one()


def _copy(session: Session, old: Run, new: Run) -> None:
    stages = stages_of(new.preset)
    session.add_all(
        RunStage(run_id=new.id, stage=stage, ordinal=ordinal, total=new.contact_count)
        for ordinal, stage in enumerate(stages)
    )
    session.flush()
    may_pass = [reason.value for reason in Reason if reason.may_pass]
    for first in range(0, new.contact_count, SLICE):
        span = {"old_id": old.id, "new_id": new.id, "first": first, "last": first + SLICE - 1}
        session.execute(COPY_CONTACTS, span)
        for number, stage in enumerate(stages):
            up_to_it = {"stage": stage, "stages": list(stages[: number + 1]), "may_pass": may_pass}
            session.execute(COPY_OUTCOMES, span | up_to_it)
    session.execute(COUNT_DONE, {"new_id": new.id})
    counts = delivered(new.contact_count, address_stages(new.preset), count_outcomes(session, new.id))
    missing = charged(session, new, counts)
    session.execute(update(Run).where(Run.id == new.id).values(charged_contacts=missing.contacts - missing.with_email))
