"""Transactions of who holds a lease, or wants one: tried again while Postgres is away or refuses.

A session that ends in a COMMIT leaves open whether it came about. Once Postgres is back, the chunk's row tells: nobody
else writes this lease's token with this worker's name.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.postgres_errors import PostgresUnavailable
from models.run_chunk import RunChunk
from models.status import ChunkStatus
from models.transitions import lock_run
from pipeline.runs.chunks import Lease
from worker.process import Process

log = logging.getLogger(__name__)

T = TypeVar("T")

_LEFT = (ChunkStatus.OPEN, ChunkStatus.DONE)


def retry_commit(
    process: Process, work: str, step: Callable[[Session], T], was_committed: Callable[[Session, T], bool] | None = None
) -> T:
    """One transaction, tried again while Postgres is away or refuses, for as long as a lease may still live.

    `work` names run and stage in the log. `was_committed` says, of what an earlier try gave, whether that try was
    committed after all; without it the step must be one that may be done twice. In the end it raises
    `PostgresUnavailable`, and whatever the step does.
    """
    given: list[T] = []
    give_up_at = math.inf
    while True:
        try:
            with process.database.transaction() as session:
                if not (given and was_committed and was_committed(session, given[-1])):
                    given.append(step(session))
            return given[-1]
        except PostgresUnavailable as error:
            if give_up_at == math.inf:
                log.warning("%s: Postgres is not available (%s), it is asked again", work, error)
                give_up_at = time.monotonic() + process.settings.lease_seconds
            if time.monotonic() > give_up_at:
                raise
            time.sleep(process.settings.checkpoint_seconds / 4)


def retry_commit_on_lease(
    process: Process, work: str, claim: Callable[[Session], T], lease_of: Callable[[T], Lease | None]
) -> T:
    """Retry commit on a step that may claim a chunk: it is claimed once, also if nobody heard that it was."""

    def is_held(session: Session, claimed: T) -> bool:
        lease = lease_of(claimed)
        return lease is not None and _status_under(session, lease) == ChunkStatus.LEASED

    return retry_commit(process, work, claim, is_held)


def retry_commit_on_end(process: Process, lease: Lease, end: Callable[[Session], T]) -> T:
    """Retry commit on a step that ends a lease: what it gave holds, also if nobody heard that it was committed."""
    return retry_commit(process, work_under(lease), end, lambda session, _: _status_under(session, lease) in _LEFT)


def work_under(lease: Lease) -> str:
    """Name a lease's work in the log."""
    return f"run {lease.run_id}, stage {lease.stage}, chunk {lease.number}"


def _status_under(session: Session, lease: Lease) -> ChunkStatus | None:
    """How the chunk stands under this lease: still held, or as its holder left it; none when the lease is not its last.

    Waits for whoever is at the run, so that a transaction whose end nobody heard of is over.
    """
    lock_run(session, lease.run_id)
    status = session.scalar(
        select(RunChunk.status).where(
            RunChunk.run_id == lease.run_id,
            RunChunk.stage == lease.stage,
            RunChunk.number == lease.number,
            RunChunk.token == lease.token,
            RunChunk.worker == lease.worker,
        )
    )
    return ChunkStatus(status) if status else None
