"""Named reads."""

from collections.abc import Collection, Generator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, distinct, func, select, text
from sqlalchemy.orm import Session

from models.account import Account
from models.api_key import ApiKey, hash_api_key
from models.artifact import EXPORT, Artifact
from models.database import stream_rows
from models.run import Run
from models.run_chunk import RunChunk
from models.run_event import RunEvent
from models.run_stage import RunStage
from models.schema import word
from models.sign_in import SignIn
from models.status import ChunkStatus

ROWS_AT_ONCE = 250
"""Between two batches of an export its lease is renewed, and the worker may stop."""

ResultRow = Sequence[Any]
"""The columns of `RESULT_COLUMNS`: `pipeline.results.rows` names them for clients."""

# One row per contact: its own columns, then address, status, reason, score and source, and its further columns as JSON.
# The verdict decides if there is one. Columns of a stage without an outcome are NULL.
RESULT_COLUMNS = """
SELECT c.first_name, c.last_name, c.full_name, c.company, c.domain, c.email AS input_email, found.email,
       CASE WHEN found.email IS NULL THEN l.status ELSE coalesce(v.status, 'unverified') END AS email_status,
       CASE WHEN found.email IS NULL THEN coalesce(nullif(l.reason, ''), v.reason)
            WHEN v.status IS NULL THEN l.reason ELSE v.reason END AS email_reason,
       CASE WHEN found.email IS NULL THEN 0 WHEN v.status IS NULL THEN l.score ELSE v.score END AS email_score,
       CASE WHEN found.email IS NULL THEN NULL WHEN v.status IS NULL THEN l.source
            ELSE coalesce(nullif(l.source, ''), 'input') END AS email_source,
       CAST(c.extra AS text)
"""

# For a few contacts. The LIMITs keep the planner to one primary key look-up per outcome: without statistics of a fresh
# run it would join on (run, stage) alone.
FIRST_RESULTS = text(f"""
{RESULT_COLUMNS}
FROM contacts c
LEFT JOIN LATERAL (
  SELECT * FROM outcomes o WHERE o.run_id = :run_id AND o.stage = :finding AND o.position = c.position LIMIT 1
) l ON true
LEFT JOIN LATERAL (
  SELECT * FROM outcomes o WHERE o.run_id = :run_id AND o.stage = :judging AND o.position = c.position LIMIT 1
) v ON true
CROSS JOIN LATERAL (SELECT coalesce(l.email, v.email) AS email) found
WHERE c.run_id = :run_id AND NOT c.erased AND c.input_row < :count
ORDER BY c.input_row LIMIT :count
""")  # noqa: S608 - a constant of ours

# Of so many contacts after a row those that a stage has worked. The outcomes are found as above.
RESULTS_AFTER = text(f"""
SELECT * FROM (
  {RESULT_COLUMNS}, c.input_row
  FROM contacts c
  LEFT JOIN LATERAL (
    SELECT * FROM outcomes o WHERE o.run_id = :run_id AND o.stage = :finding AND o.position = c.position LIMIT 1
  ) l ON true
  LEFT JOIN LATERAL (
    SELECT * FROM outcomes o WHERE o.run_id = :run_id AND o.stage = :judging AND o.position = c.position LIMIT 1
  ) v ON true
  CROSS JOIN LATERAL (SELECT coalesce(l.email, v.email) AS email) found
  WHERE c.run_id = :run_id AND NOT c.erased AND c.input_row > :after AND c.input_row <= :last
    AND num_nonnulls(l.run_id, v.run_id) > 0
) AS worked
WHERE (CAST(:email_statuses AS text[]) IS NULL OR email_status = ANY(:email_statuses))
  AND (CAST(:email_reason AS text) IS NULL OR email_reason = :email_reason)
ORDER BY input_row LIMIT :count
""")  # noqa: S608 - a constant of ours

# Of contacts at these positions those that are not deleted. The outcomes are found as above.
RESULTS_AT = text(f"""
{RESULT_COLUMNS}
FROM contacts c
LEFT JOIN LATERAL (
  SELECT * FROM outcomes o WHERE o.run_id = c.run_id AND o.stage = :finding AND o.position = c.position LIMIT 1
) l ON true
LEFT JOIN LATERAL (
  SELECT * FROM outcomes o WHERE o.run_id = c.run_id AND o.stage = :judging AND o.position = c.position LIMIT 1
) v ON true
CROSS JOIN LATERAL (SELECT coalesce(l.email, v.email) AS email) found
WHERE c.run_id = :run_id AND c.position = ANY(CAST(:positions AS bigint[])) AND NOT c.erased
ORDER BY c.input_row
""")  # noqa: S608 - a constant of ours

# For all contacts: contacts and outcomes are read in the order of their primary keys, and sorted in the end.
ALL_RESULTS = text(f"""
{RESULT_COLUMNS}
FROM contacts c
LEFT JOIN outcomes l ON l.run_id = :run_id AND l.stage = :finding AND l.position = c.position
LEFT JOIN outcomes v ON v.run_id = :run_id AND v.stage = :judging AND v.position = c.position
CROSS JOIN LATERAL (SELECT coalesce(l.email, v.email) AS email) found
WHERE c.run_id = :run_id AND NOT c.erased
ORDER BY c.input_row
""")

# For all rows of the upload that the run was started from: the row as CSV, the number of its contact, why it was
# rejected, and the result of its contact.
OWN_ROWS = text(f"""
SELECT u.line, u.contact, u.field, u.reason, r.email, r.email_status, r.email_reason, r.email_score, r.email_source
FROM upload_rows u LEFT JOIN (
  {RESULT_COLUMNS}, c.input_row
  FROM contacts c
  LEFT JOIN outcomes l ON l.run_id = :run_id AND l.stage = :finding AND l.position = c.position
  LEFT JOIN outcomes v ON v.run_id = :run_id AND v.stage = :judging AND v.position = c.position
  CROSS JOIN LATERAL (SELECT coalesce(l.email, v.email) AS email) found
  WHERE c.run_id = :run_id AND NOT c.erased
) AS r ON r.input_row = u.contact
WHERE u.upload_id = :upload_id ORDER BY u.row
""")  # noqa: S608 - a constant of ours

REJECTED_ROWS = text("""
SELECT row, field, reason, line FROM upload_rows
WHERE upload_id = :upload_id AND reason IS NOT NULL ORDER BY row
""")

# Numbers beyond what a type holds exactly are text, and so is a column that has several types.
TYPES_OF_COLUMNS = text("""
SELECT key, CASE
    WHEN bool_and(value ~ '^(-?[1-9][0-9]{0,17}|0|null)$') THEN 'integer'
    WHEN bool_and(type IN ('number', 'null') AND value !~ '[0-9.]{17}') THEN 'number'
    WHEN bool_and(type IN ('boolean', 'null')) THEN 'boolean'
    ELSE 'text' END AS type
FROM contacts c, json_each(c.extra) AS e (key, json),
  LATERAL (SELECT json_typeof(json) AS type, CAST(json AS text) AS value) v
WHERE c.run_id = :run_id AND NOT c.erased
GROUP BY key HAVING bool_or(type <> 'null')
""")

# The only plan that is left is a merge of primary keys, whatever the planner knows of the tables. The statement takes
# as long as whoever reads it: a slow disk must not end it.
READ_ALL = text("""
SELECT set_config(name, 'off', true) FROM unnest(ARRAY[
  'enable_nestloop', 'enable_hashjoin', 'enable_bitmapscan', 'enable_seqscan'
]) AS name
UNION ALL SELECT set_config(name, '0', true) FROM unnest(ARRAY[
  'max_parallel_workers_per_gather', 'statement_timeout'
]) AS name
""")

# A chunk is free if its lease has ended, if its pause has ended, or if it was never tried; in this order. Each part
# reads the beginning of an index, however many chunks the stage has, and however many of them wait. A lease that has
# ended may just be renewed by a task that is late: such a chunk is skipped.
FREE_CHUNKS = text("""
SELECT number, attempts, waiting, first_position, last_position FROM (
  SELECT * FROM (
    SELECT number, attempts, waiting, first_position, last_position, 1 AS turn FROM run_chunks
    WHERE run_id = :run_id AND stage = :stage AND status = 'leased' AND lease_expires_at <= clock_timestamp()
    ORDER BY number LIMIT :count FOR NO KEY UPDATE SKIP LOCKED
  ) lost
  UNION ALL
  (SELECT number, attempts, waiting, first_position, last_position, 2 FROM run_chunks
   WHERE run_id = :run_id AND stage = :stage AND status = 'open' AND not_before <= now()
   ORDER BY not_before, number LIMIT :count)
  UNION ALL
  (SELECT number, attempts, waiting, first_position, last_position, 3 FROM run_chunks
   WHERE run_id = :run_id AND stage = :stage AND status = 'open' AND not_before IS NULL
   ORDER BY not_before, number LIMIT :count)
) free
ORDER BY turn
""")

VERSIONS_OF_RUNS = text("SELECT id, version FROM runs WHERE id = ANY(CAST(:run_ids AS uuid[]))")

HAS_FREE_CHUNKS = text("""
SELECT EXISTS (
  SELECT FROM run_chunks WHERE run_id = :run_id AND stage = :stage AND status = 'open' AND not_before IS NULL
) OR EXISTS (
  SELECT FROM run_chunks WHERE run_id = :run_id AND stage = :stage AND status = 'open' AND not_before <= now()
) OR EXISTS (
  SELECT FROM run_chunks
  WHERE run_id = :run_id AND stage = :stage AND status = 'leased' AND lease_expires_at <= clock_timestamp()
)
""")


class FreeChunk(NamedTuple):
    """A chunk that can be leased now: how often it broke its task, how many contacts wait, and which it has."""

    number: int
    attempts: int
    waiting: int
    first_position: int
    last_position: int


def account_of_key(session: Session, key: str) -> Account | None:
    """The account of an API key that is not revoked."""
    return session.scalar(
        select(Account)
        .join(ApiKey, ApiKey.account_id == Account.id)
        .where(ApiKey.key_hash == hash_api_key(key), ApiKey.revoked_at.is_(None))
    )


def account_of_sign_in(session: Session, token: str) -> Account | None:
    """The account that a browser has signed in to, unless its key is revoked since or its time is over."""
    is_theirs = (SignIn.token_hash == hash_api_key(token), SignIn.expires_at > func.now(), ApiKey.revoked_at.is_(None))
    keys = select(Account).join(ApiKey, ApiKey.account_id == Account.id).join(SignIn, SignIn.key_id == ApiKey.id)
    return session.scalar(keys.where(*is_theirs))


def run_of_account(session: Session, run_id: UUID, account_id: UUID) -> Run | None:
    """The run, if it belongs to this account.

    The query names only the run's id: with the account's, the planner might scan all runs of the account.
    """
    run = session.get(Run, run_id, populate_existing=True)
    return run if run and run.account_id == account_id else None


def versions_of_runs(session: Session, run_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The versions of these runs."""
    rows = session.execute(VERSIONS_OF_RUNS, {"run_ids": list(run_ids)})
    return {row.id: row.version for row in rows}


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


def artifacts_with_files(session: Session, run_id: UUID) -> Sequence[Artifact]:
    """The artifacts of a run that have a file, exports among them, as the database has them now."""
    of_run = select(Artifact).where(Artifact.run_id == run_id, Artifact.sha256.is_not(None))
    return session.scalars(of_run.execution_options(populate_existing=True)).all()


def files_of_run(session: Session, run_id: UUID) -> Sequence[str]:
    """The storage keys of a run's files that are handed out."""
    files = select(Artifact.storage_key).where(Artifact.run_id == run_id, Artifact.storage_key.is_not(None))
    return [key for key in session.scalars(files) if key]


def file_of_account(session: Session, run_id: UUID, asset_id: str, account_id: UUID) -> Artifact | None:
    """An artifact that is a file, if its run belongs to this account."""
    artifact = session.get(Artifact, (run_id, asset_id)) if run_of_account(session, run_id, account_id) else None
    return artifact if artifact and artifact.sha256 else None


def events_of_run(session: Session, run_id: UUID) -> Sequence[RunEvent]:
    """A run's timeline, oldest first."""
    return session.scalars(select(RunEvent).where(RunEvent.run_id == run_id).order_by(RunEvent.id)).all()


def latest_events(session: Session, run_id: UUID, kinds: Collection[str] | None, limit: int) -> Sequence[RunEvent]:
    """The newest events in a run's timeline, of these kinds or of all, newest first."""
    theirs = select(RunEvent).where(RunEvent.run_id == run_id)
    wanted = theirs if kinds is None else theirs.where(RunEvent.kind.in_(kinds))
    return session.scalars(wanted.order_by(RunEvent.id.desc()).limit(limit)).all()


def retry_of_run(session: Session, run_id: UUID) -> UUID | None:
    """The run that continues a failed or cancelled one, if it was retried."""
    return session.scalar(select(Run.id).where(Run.retry_of == run_id))


def run_of_upload(session: Session, upload_id: UUID) -> UUID | None:
    """A run that was started from an upload, the newest if there are several."""
    return session.scalar(select(Run.id).where(Run.upload_id == upload_id).order_by(Run.id.desc()).limit(1))


def workers_of_run(session: Session, run_id: UUID) -> int:
    """How many workers hold chunks of a run."""
    leased = (RunChunk.run_id == run_id, RunChunk.status == ChunkStatus.LEASED.value)
    return session.scalar(select(func.count(distinct(RunChunk.worker))).where(*leased)) or 0


def events_after(session: Session, run_id: UUID, event_id: int, kinds: Collection[str]) -> Sequence[RunEvent]:
    """The events of these kinds in a run's timeline after one of them, oldest first."""
    later = select(RunEvent).where(RunEvent.run_id == run_id, RunEvent.id > event_id, RunEvent.kind.in_(kinds))
    return session.scalars(later.order_by(RunEvent.id)).all()


def first_results(
    session: Session, run_id: UUID, count: int, finding: str | None, judging: str | None
) -> Sequence[Row[Any]]:
    """The result rows of the first `count` contacts in the client's order, without those that are deleted."""
    return session.execute(FIRST_RESULTS, _of_stages(run_id, finding, judging) | {"count": count}).all()


def results_at(
    session: Session, run_id: UUID, positions: Sequence[int], finding: str | None, judging: str | None
) -> Sequence[Row[Any]]:
    """The result rows of the contacts at these positions, in the client's order, without those that are deleted."""
    return session.execute(RESULTS_AT, _of_stages(run_id, finding, judging) | {"positions": list(positions)}).all()


def results_after(
    session: Session,
    run_id: UUID,
    after: int,
    last: int,
    statuses: Sequence[str] | None,
    count: int,
    finding: str | None,
    judging: str | None,
    *,
    reason: str | None = None,
) -> Sequence[Row[Any]]:
    """The result rows of worked contacts whose `input_row` is above `after`, up to `last`: at most `count`.

    Behind the columns of a `ResultRow` each has its `input_row`.
    """
    named = list(statuses) if statuses else None
    wanted = {"after": after, "last": last, "email_statuses": named, "email_reason": reason, "count": count}
    return session.execute(RESULTS_AFTER, _of_stages(run_id, finding, judging) | wanted).all()


def stream_results(
    session: Session, run_id: UUID, finding: str | None, judging: str | None
) -> Generator[Sequence[ResultRow]]:
    """Stream all result rows in batches, so that memory does not grow with the run.

    Call it in a transaction that does nothing else: it goes on without time limits, and with one kind of plan.
    """
    session.execute(READ_ALL)
    return stream_rows(session, ALL_RESULTS, _of_stages(run_id, finding, judging), ROWS_AT_ONCE)


def stream_own_rows(
    session: Session, run_id: UUID, upload_id: UUID, finding: str | None, judging: str | None
) -> Generator[Sequence[tuple[Any, ...]]]:
    """Stream all rows of a run's upload with their results, as `stream_results` does."""
    session.execute(READ_ALL)
    of_upload = {"upload_id": upload_id, **_of_stages(run_id, finding, judging)}
    return stream_rows(session, OWN_ROWS, of_upload, ROWS_AT_ONCE)


def stream_rejected_rows(session: Session, upload_id: UUID) -> Generator[Sequence[tuple[Any, ...]]]:
    """Stream the rows of an upload that could not be used, as `stream_results` does."""
    session.execute(READ_ALL)
    return stream_rows(session, REJECTED_ROWS, {"upload_id": upload_id}, ROWS_AT_ONCE)


def types_of_columns(session: Session, run_id: UUID) -> dict[str, Any]:
    """The types of the further columns of a run's contacts: `text`, `integer`, `number` or `boolean`."""
    return {row.key: row.type for row in session.execute(TYPES_OF_COLUMNS, {"run_id": run_id})}


def free_chunks(session: Session, run_id: UUID, stage: str, count: int) -> Sequence[FreeChunk]:
    """The next chunks that can be leased now: at most `count` of each kind, those whose lease has ended first.

    Locks those until the transaction ends. The caller must hold the lock on the run's row.
    """
    rows = session.execute(FREE_CHUNKS, {"run_id": run_id, "stage": stage, "count": count})
    return [FreeChunk(*row) for row in rows]


def other_workers(session: Session, run_id: UUID, worker: str) -> int:
    """The number of other workers that hold leases on chunks of a run."""
    statement = select(func.count(RunChunk.worker.distinct())).where(
        RunChunk.run_id == run_id,
        RunChunk.status == word(ChunkStatus.LEASED),
        RunChunk.lease_expires_at > func.clock_timestamp(),
        RunChunk.worker != worker,
    )
    return session.scalar(statement) or 0


def has_free_chunks(session: Session, run_id: UUID, stage: str) -> bool:
    """Whether a stage has chunks that can be leased now."""
    return bool(session.scalar(HAS_FREE_CHUNKS, {"run_id": run_id, "stage": stage}))


def _of_stages(run_id: UUID, finding: str | None, judging: str | None) -> dict[str, Any]:
    return {"run_id": run_id, "finding": finding, "judging": judging}
