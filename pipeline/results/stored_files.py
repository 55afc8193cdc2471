"""The rows of files in a bucket: what is there, or may yet come to be there, and when it is to be deleted.

A file appears in a bucket when its last part is in. Its writer may be frozen before that, and wake up after the run was
erased or has expired, or when another worker has written the files. Nobody can stop it then, but its file is known:

1. `intend` writes the key, in a transaction that is committed before the first byte is sent;
2. `hand_out` keeps the file, in the transaction that has an artifact name it. It fails if the writer lost its right;
3. `let_go` takes that right away, for the next writer, an erasure, or expiry: the file is to be deleted at once;
4. `take_due` finds what is to be deleted. A key whose writer may still live is found again, ever more rarely, for
   `FROZEN_DAYS`; `forget` deletes the rows of the others once their files are gone.

No key is used twice, so that a late deletion never meets another file.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Executable, delete, exists, func, insert, select, true, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from models.artifact import Artifact
from models.pauses import doubling_pause_sql, in_seconds
from models.stored_file import StoredFile
from pipeline.errors import LeaseLost

_Statement = TypeVar("_Statement", bound=Executable)

WRITTEN_WITHIN_S = 86_400
"""No writer takes as long. What a writer leaves that nobody follows is deleted then."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 60, 43_200
FROZEN_DAYS = 30
"""For so long a writer may be frozen, and then complete its file."""
UNDER_WAY_S = 600
"""For so long a request that failed for its writer may be under way, and then be carried out by the storage."""
BATCH = 1000


def intend(session: Session, run_id: UUID, keys: Sequence[str]) -> None:
    """Note files that are about to be written. Commit it before the first of them is begun."""
    times = {"delete_after": in_seconds(WRITTEN_WITHIN_S), "may_appear_until": in_seconds(86_400 * FROZEN_DAYS)}
    session.execute(insert(StoredFile).values([{"key": key, "run_id": run_id, **times} for key in keys]))


def hand_out(session: Session, run_id: UUID, keys: Collection[str]) -> None:
    """Keep files, in the transaction in which artifacts name them. Raises `LeaseLost` if one was let go."""
    mine = (StoredFile.key.in_(keys), StoredFile.delete_after > func.now(), StoredFile.deletions == 0)
    kept = (
        update(StoredFile).where(*mine).values(delete_after=None, may_appear_until=func.now()).returning(StoredFile.key)
    )
    if len(session.scalars(_quietly(kept)).all()) != len(keys):
        raise LeaseLost(f"run {run_id}: its files were let go while they were written")


def let_go(session: Session, run_id: UUID, handed_out: Iterable[str] = ()) -> None:
    """Have the run's files deleted, also those being written, but not those that are `handed_out`."""
    others = (StoredFile.run_id == run_id, StoredFile.key.not_in(list(handed_out)))
    session.execute(_quietly(update(StoredFile).where(*others).values(delete_after=func.now())))


def drop(session: Session, keys: Collection[str], *, are_finished: bool) -> None:
    """Have files deleted by whose writer they are not handed out. Those that were handed out all the same stay."""
    mine = update(StoredFile).where(StoredFile.key.in_(keys), StoredFile.delete_after.is_not(None))
    until = in_seconds(0 if are_finished else UNDER_WAY_S)
    session.execute(_quietly(mine.values(delete_after=func.now(), may_appear_until=until)))


def take_due(session: Session, run_id: UUID | None = None) -> Sequence[str]:
    """Find files to delete, of this run or of any. Until they are forgotten, they are found again after a pause."""
    named = exists().where(Artifact.run_id == StoredFile.run_id, Artifact.storage_key == StoredFile.key)
    of_run = StoredFile.run_id == run_id if run_id else true()
    due = (
        select(StoredFile.key)
        .where(StoredFile.delete_after <= func.now(), of_run, ~named)
        .order_by(StoredFile.delete_after)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    again = in_seconds(doubling_pause_sql(StoredFile.deletions + 1, LONGEST_PAUSE_S, FIRST_PAUSE_S))
    taken = update(StoredFile).where(StoredFile.key.in_(due)).values(deletions=StoredFile.deletions + 1)
    return session.scalars(_quietly(taken.values(delete_after=again).returning(StoredFile.key))).all()


def forget(session: Session, keys: Collection[str]) -> None:
    """Delete the rows of files that were deleted and can't appear again.

    Not those that were let go or dropped once more meanwhile: their writer may have completed them.
    """
    is_deleted = StoredFile.delete_after > func.clock_timestamp()
    gone = (StoredFile.key.in_(keys), StoredFile.deletions > 0, is_deleted, StoredFile.may_appear_until <= func.now())
    session.execute(_quietly(delete(StoredFile).where(*gone)))


def adopt(session: Session) -> None:
    """Note files that artifacts name and that have no rows: those that were copied to the bucket from a folder."""
    known = exists().where(StoredFile.key == Artifact.storage_key)
    # Locked, so that no file is retracted before it is noted.
    named = (
        select(Artifact.storage_key, Artifact.run_id, func.now())
        .where(Artifact.storage_key.is_not(None), ~known)
        .with_for_update(read=True)
    )
    rows = upsert(StoredFile).from_select(["key", "run_id", "may_appear_until"], named)
    session.execute(rows.on_conflict_do_nothing())


def _quietly(statement: _Statement) -> _Statement:
    return statement.execution_options(synchronize_session=False)
