"""Named reads."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from models.account import Account
from models.api_key import ApiKey, hash_api_key
from models.artifact import EXPORT, Artifact
from models.run import Run
from models.run_event import RunEvent
from models.run_stage import RunStage

# One row per contact, with what the stages said; a stage that said nothing leaves its columns NULL.
# The address is the lookup's; with no lookup stage it is the verified one. The LIMITs keep the planner to one
# primary key look-up per outcome: without statistics of a fresh run it would join on (run, stage) alone.
RESULT_ROWS = """
SELECT c.input_row, c.first_name, c.last_name, c.full_name, c.company, c.domain, c.email AS input_email, c.extra,
       coalesce(l.email, v.email) AS email, l.status AS lookup_status, l.reason AS lookup_reason,
       l.source, l.score AS lookup_score, v.status AS verdict, v.reason AS verify_reason, v.score AS verify_score
FROM contacts c
LEFT JOIN LATERAL (
  SELECT * FROM outcomes o WHERE o.run_id = c.run_id AND o.stage = 'email_lookup' AND o.position = c.position LIMIT 1
) l ON true
LEFT JOIN LATERAL (
  SELECT * FROM outcomes o WHERE o.run_id = c.run_id AND o.stage = 'email_verify' AND o.position = c.position LIMIT 1
) v ON true
WHERE c.run_id = :run_id AND NOT c.erased
"""
ALL_RESULTS = text(f"{RESULT_ROWS} ORDER BY c.input_row")
FIRST_RESULTS = text(f"{RESULT_ROWS} AND c.input_row < :count ORDER BY c.input_row LIMIT :count")


def account_of_key(session: Session, key: str) -> Account | None:
    """The account that a living API key belongs to."""
    return session.scalar(
        select(Account)
        .join(ApiKey, ApiKey.account_id == Account.id)
        .where(ApiKey.key_hash == hash_api_key(key), ApiKey.revoked_at.is_(None))
    )


def run_of_account(session: Session, run_id: UUID, account_id: UUID) -> Run | None:
    """The run, if it is this account's."""
    return session.scalar(select(Run).where(Run.id == run_id, Run.account_id == account_id))


def preset_of_run(session: Session, run_id: UUID) -> str:
    """Which stages the run has. Raises `sqlalchemy.exc.NoResultFound` for an unknown run."""
    return session.scalars(select(Run.preset).where(Run.id == run_id)).one()


def stages_of_run(session: Session, run_id: UUID) -> Sequence[RunStage]:
    """A run's stages, in pipeline order."""
    return session.scalars(
        select(RunStage)
        .where(RunStage.run_id == run_id)
        .order_by(RunStage.ordinal)
        .execution_options(populate_existing=True)
    ).all()


def artifacts_of_run(session: Session, run_id: UUID) -> Sequence[Artifact]:
    """What a completed run hands over, by asset id."""
    return session.scalars(select(Artifact).where(Artifact.run_id == run_id).order_by(Artifact.asset_id)).all()


def exports_of_run(session: Session, run_id: UUID) -> Sequence[Artifact]:
    """The export files that a run hands over."""
    return session.scalars(select(Artifact).where(Artifact.run_id == run_id, Artifact.kind == EXPORT)).all()


def export_of_account(session: Session, run_id: UUID, asset_id: str, account_id: UUID) -> Artifact | None:
    """An export file, if its run is this account's."""
    return session.scalar(
        select(Artifact)
        .join(Run, Run.id == Artifact.run_id)
        .where(
            Artifact.run_id == run_id,
            Artifact.asset_id == asset_id,
            Artifact.kind == EXPORT,
            Run.account_id == account_id,
        )
    )


def events_of_run(session: Session, run_id: UUID) -> Sequence[RunEvent]:
    """A run's timeline, oldest first."""
    return session.scalars(select(RunEvent).where(RunEvent.run_id == run_id).order_by(RunEvent.id)).all()


def first_results(session: Session, run_id: UUID, count: int) -> Sequence[Row[Any]]:
    """The results of the first `count` contacts that came: of these only, also when they are deleted by now."""
    return session.execute(FIRST_RESULTS, {"run_id": run_id, "count": count}).all()


def stream_results(session: Session, run_id: UUID, batch: int = 2000) -> Iterator[Row[Any]]:
    """All result rows through a server-side cursor: memory stays flat whatever the run's size."""
    yield from session.execute(ALL_RESULTS, {"run_id": run_id}, execution_options={"yield_per": batch})
