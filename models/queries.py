"""Named reads."""

from collections.abc import Generator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, exists, func, select, text
from sqlalchemy.orm import Session

from models.account import Account
from models.api_key import ApiKey, hash_api_key
from models.artifact import EXPORT, Artifact
from models.run import Run
from models.run_chunk import RunChunk
from models.run_event import RunEvent
from models.run_stage import RunStage
from models.schema import word
from models.status import ChunkStatus

# One row per contact, with the outcomes of the stage that finds addresses and of the stage that judges them. Columns of
# a stage without an outcome are NULL. The LIMITs keep the planner to one primary key look-up per outcome: without
# statistics of a fresh run it would join on (run, stage) alone.
RESULT_ROWS = """
SELECT c.input_row, c.first_name, c.last_name, c.full_name, c.company, c.domain, c.email AS input_email, c.extra,
       coalesce(l.email, v.email) AS email, l.status AS lookup_status, l.reason AS lookup_reason,
       l.source, l.score AS lookup_score, v.status AS verdict, v.reason AS verify_reason, v.score AS verify_score
FROM contacts c
LEFT JOIN LATERAL (
  SELECT * FROM outcomes o WHERE o.run_id = c.run_id AND o.stage = :finding AND o.position = c.position LIMIT 1
) l ON true
LEFT JOIN LATERAL (
  SELECT * FROM outcomes o WHERE o.run_id = c.run_id AND o.stage = :judging AND o.position = c.position LIMIT 1
) v ON true
WHERE c.run_id = :run_id AND NOT c.erased
"""
ALL_RESULTS = text(f"{RESULT_ROWS} ORDER BY c.input_row")
FIRST_RESULTS = text(f"{RESULT_ROWS} AND c.input_row < :count ORDER BY c.input_row LIMIT :count")

# A chunk is free if its lease has ended, if its pause has ended, or if it was never tried; in this order. Each part
# reads the beginning of an index, however many chunks the stage has, and however many of them wait.
FREE_CHUNKS = text("""
SELECT number FROM (
  (SELECT number, 1 AS turn FROM run_chunks
   WHERE run_id = :run_id AND stage = :stage AND status = 'leased' AND lease_expires_at <= clock_timestamp()
   ORDER BY number LIMIT :count)
  UNION ALL
  (SELECT number, 2 FROM run_chunks
   WHERE run_id = :run_id AND stage = :stage AND status = 'open' AND not_before <= now()
   ORDER BY not_before, number LIMIT :count)
  UNION ALL
  (SELECT number, 3 FROM run_chunks
   WHERE run_id = :run_id AND stage = :stage AND status = 'open' AND not_before IS NULL
   ORDER BY not_before, number LIMIT :count)
) free
ORDER BY turn LIMIT :count
""")


def account_of_key(session: Session, key: str) -> Account | None:
    """The account of an API key that is not revoked."""
    return session.scalar(
        select(Account)
        .join(ApiKey, ApiKey.account_id == Account.id)
        .where(ApiKey.key_hash == hash_api_key(key), ApiKey.revoked_at.is_(None))
    )


def run_of_account(session: Session, run_id: UUID, account_id: UUID) -> Run | None:
    """The run, if it belongs to this account.

    The query names only the run's id: with the account's, the planner might scan all runs of the account.
    """
    run = session.get(Run, run_id, populate_existing=True)
    return run if run and run.account_id == account_id else None


def preset_of_run(session: Session, run_id: UUID) -> str:
    """The run's preset. Raises `sqlalchemy.exc.NoResultFound` for an unknown run."""
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
    """The artifacts of a run, by asset id."""
    return session.scalars(select(Artifact).where(Artifact.run_id == run_id).order_by(Artifact.asset_id)).all()


def exports_of_run(session: Session, run_id: UUID) -> Sequence[Artifact]:
    """The export files of a run."""
    return session.scalars(select(Artifact).where(Artifact.run_id == run_id, Artifact.kind == EXPORT)).all()


def export_of_account(session: Session, run_id: UUID, asset_id: str, account_id: UUID) -> Artifact | None:
    """An export file, if its run belongs to this account."""
    artifact = session.get(Artifact, (run_id, asset_id)) if run_of_account(session, run_id, account_id) else None
    return artifact if artifact and artifact.kind == EXPORT else None


def events_of_run(session: Session, run_id: UUID) -> Sequence[RunEvent]:
    """A run's timeline, oldest first."""
    return session.scalars(select(RunEvent).where(RunEvent.run_id == run_id).order_by(RunEvent.id)).all()


def first_results(
    session: Session, run_id: UUID, count: int, finding: str | None, judging: str | None
) -> Sequence[Row[Any]]:
    """The result rows of the first `count` contacts in the client's order, without those that are deleted."""
    return session.execute(FIRST_RESULTS, _of_stages(run_id, finding, judging) | {"count": count}).all()


def stream_results(
    session: Session, run_id: UUID, finding: str | None, judging: str | None, batch: int = 2000
) -> Generator[Row[Any]]:
    """Stream all result rows through a server-side cursor, so that memory does not grow with the run."""
    with session.execute(
        ALL_RESULTS, _of_stages(run_id, finding, judging), execution_options={"yield_per": batch}
    ) as rows:
        yield from rows


def free_chunks(session: Session, run_id: UUID, stage: str, count: int) -> Sequence[int]:
    """The numbers of the next chunks that can be leased now, at most `count`."""
    return session.scalars(FREE_CHUNKS, {"run_id": run_id, "stage": stage, "count": count}).all()


def live_leases(session: Session, run_id: UUID) -> int:
    """The number of chunk tasks that work on a run."""
    statement = select(func.count()).where(
        RunChunk.run_id == run_id,
        RunChunk.status == word(ChunkStatus.LEASED),
        RunChunk.lease_expires_at > func.clock_timestamp(),
    )
    return session.scalar(statement) or 0


def has_unfinished_chunks(session: Session, run_id: UUID, stage: str) -> bool:
    """Whether a stage has chunks that are not done."""
    of_stage = (RunChunk.run_id == run_id, RunChunk.stage == stage)
    is_open, is_leased = (
        exists().where(*of_stage, RunChunk.status == word(status)) for status in (ChunkStatus.OPEN, ChunkStatus.LEASED)
    )
    return bool(session.scalar(select(is_open | is_leased)))


def _of_stages(run_id: UUID, finding: str | None, judging: str | None) -> dict[str, Any]:
    return {"run_id": run_id, "finding": finding, "judging": judging}
