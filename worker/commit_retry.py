"""Transactions that are retried while Postgres is unavailable.

If the connection drops during COMMIT, the client cannot know whether the transaction was committed. Once Postgres is
back, a transaction that leases a chunk or ends a lease can find out: the chunk's row holds the token and the worker's
name, and nobody else writes this pair.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.postgres_errors import QUERY_CANCELED, PostgresUnavailable, StatementTimeout
from models.run_chunk import RunChunk, is_chunk
from models.status import ChunkStatus
from models.transitions import lock_run
from pipeline.runs.chunks import Lease
from worker.process import Process

log = logging.getLogger(__name__)

T = TypeVar("T")

_ENDED = (ChunkStatus.OPEN, ChunkStatus.DONE)


def retry_commit(
    process: Process, work: str, step: Callable[[Session], T], was_committed: Callable[[Session, T], bool] | None = None
) -> T:
    """Run `step` in a transaction, and retry while Postgres is unavailable, for as long as a lease may live.

    `work` names run and stage in the log. Before a retry, `was_committed` tells whether the earlier transaction was
    committed after all, given its result. Without it, `step` must be safe to repeat. Raises `PostgresUnavailable` when
    the time is up, `StatementTimeout` if every try was canceled, and whatever `step` raises.
    """
    results: list[T] = []
    deadline, is_timeout = math.inf, True
    while True:
        try:
            with process.database.transaction() as session:
                if not (results and was_committed and was_committed(session, results[-1])):
                    results.append(step(session))
            return results[-1]
        except PostgresUnavailable as error:
            is_timeout = is_timeout and error.sqlstate == QUERY_CANCELED
            if deadline == math.inf:
                log.warning("%s: Postgres is unavailable (%s), retrying", work, error)
                deadline = time.monotonic() + process.settings.lease_seconds
            if time.monotonic() > deadline:
                if is_timeout:
                    raise StatementTimeout(str(error)).with_traceback(error.__traceback__) from None
                raise
            time.sleep(process.settings.checkpoint_seconds / 4)


def retry_commit_of_lease(
    process: Process, work: str, step: Callable[[Session], T], lease_of: Callable[[T], Lease | None]
) -> T:
    """`retry_commit` for a step that may lease a chunk. It leases at most one, even if a COMMIT was not confirmed."""

    def is_held(session: Session, given: T) -> bool:
        lease = lease_of(given)
        return lease is not None and _status_under(session, lease) == ChunkStatus.LEASED

    return retry_commit(process, work, step, is_held)


def retry_commit_of_end(process: Process, lease: Lease, end: Callable[[Session], T]) -> T:
    """`retry_commit` for a step that ends a lease. It ends it once, even if the COMMIT was not confirmed."""
    return retry_commit(process, work_under(lease), end, lambda session, _: _status_under(session, lease) in _ENDED)


def retry_commit_of_turn(
    process: Process,
    work: str,
    step: Callable[[Session], T],
    ends: Sequence[Lease],
    leases_of: Callable[[T], Sequence[Lease]],
) -> T:
    """`retry_commit` for a step that ends and takes leases of several chunks, all or none of them."""

    def is_done(session: Session, given: T) -> bool:
        if ends:
            return any(_status_under(session, lease) in _ENDED for lease in ends)
        taken = leases_of(given)
        return bool(taken) and _status_under(session, taken[0]) == ChunkStatus.LEASED

    return retry_commit(process, work, step, is_done)


def work_under(lease: Lease) -> str:
    """The name of a lease's work for the log."""
    return f"run {lease.run_id}, stage {lease.stage}, chunk {lease.number}"


def _status_under(session: Session, lease: Lease) -> ChunkStatus | None:
    """The chunk's status if this lease is its last one, else none.

    Takes the run's row lock first, so that a transaction whose COMMIT was not confirmed has ended.
    """
    lock_run(session, lease.run_id)
    status = session.scalar(
        select(RunChunk.status).where(
            is_chunk(lease.run_id, lease.stage, lease.number),
            RunChunk.token == lease.token,
            RunChunk.worker == lease.worker,
        )
    )
    return ChunkStatus(status) if status else None
