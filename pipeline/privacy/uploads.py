"""Erasure of people from uploads.

An upload that no run uses is discarded as a whole: its bytes can't be searched before they are read, and its client has
the file. In one that runs use, the person's rows lose their content, its bytes are deleted, and no further run can
start from it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.orm import Session

from models.database import Database, changed_rows
from models.run import Run
from models.transitions import lock_run, touch_run
from models.upload import Upload
from pipeline.privacy.erasure import BATCH, Wanted, void_files
from pipeline.uploads.expiry import delete_pieces, note_deleted_bytes
from pipeline.uploads.receiving import is_used

ERASED = "A person was erased from this upload: send the file again, without the person."

# The whole row is searched, as further columns of contacts are.
ROWS = text("""
SELECT row, first_name, last_name, full_name, company, domain, email, json_build_array(line) AS extra,
       CAST(ARRAY[] AS text[]) AS emails, CAST(ARRAY[] AS bytea[]) AS looked_up
FROM upload_rows WHERE upload_id = :upload_id AND row > :after ORDER BY row LIMIT :count
""")

BLANK = """
UPDATE upload_rows SET first_name = '', last_name = '', full_name = '', company = '', domain = '', email = '',
  work_order = '', extra = '{}', line = :line
WHERE upload_id = :upload_id AND line <> :line AND
"""
BLANK_ROWS = text(f"{BLANK} row = ANY(CAST(:rows AS int[])) RETURNING row")
BLANK_ERASED = text(f"""
{BLANK} contact IN (SELECT input_row FROM contacts WHERE run_id = :run_id AND erased) RETURNING row
""")  # noqa: S608 - a constant of ours


class UploadErasure:
    """The uploads of an account while people are erased from them. Each step is a transaction of its own."""

    def __init__(self, database: Database, account_id: UUID, wanted: Wanted) -> None:
        self._database, self._account_id, self._wanted = database, account_id, wanted

    def found(self) -> Iterator[Row[Any]]:
        """The rows of all uploads in which one of the people is."""
        for upload_id in self._ids():
            yield from self._found(upload_id)

    def erase(self) -> Iterator[UUID]:
        """Erase the people; yield the runs whose files have to be written again."""
        for upload_id in self._ids():
            yield from self._erase(upload_id, [row.row for row in self._found(upload_id)])

    def _ids(self) -> Sequence[UUID]:
        mine = select(Upload.id).where(Upload.account_id == self._account_id, Upload.discarded_at.is_(None))
        with self._database.transaction() as session:
            return session.scalars(mine.order_by(Upload.id)).all()

    def _found(self, upload_id: UUID) -> Iterator[Row[Any]]:
        """The wanted rows. They are searched while no transaction is open: that may take long."""
        after = -1
        while True:
            with self._database.transaction() as session:
                batch = session.execute(ROWS, {"upload_id": upload_id, "after": after, "count": BATCH}).all()
            if not batch:
                return
            yield from filter(self._wanted.has, batch)
            after = batch[-1].row

    def _erase(self, upload_id: UUID, rows: Sequence[int]) -> Iterable[UUID]:
        with self._database.transaction() as session:
            upload = _locked(session, upload_id)
            if upload is None or _discarded(session, upload, has_person=bool(rows)):
                return ()
            erased = _blank(session, upload, rows)
            runs = _runs_of(session, upload_id) if erased else []
            if erased:
                upload.refusal = ERASED
        for run_id in runs:
            with self._database.transaction() as session:
                _void(session, run_id)
        if runs:
            self._delete_bytes(upload_id)
        return runs

    def _delete_bytes(self, upload_id: UUID) -> None:
        last: int | None = -1
        while last is not None:
            with self._database.transaction() as session:
                last = delete_pieces(session, upload_id, last)
        with self._database.transaction() as session:
            note_deleted_bytes(session, upload_id)


def _locked(session: Session, upload_id: UUID) -> Upload | None:
    locked = select(Upload).where(Upload.id == upload_id, Upload.discarded_at.is_(None))
    return session.scalar(locked.with_for_update(key_share=True).execution_options(populate_existing=True))


def _discarded(session: Session, upload: Upload, *, has_person: bool) -> bool:
    """Discard an upload that no run uses, if one of the people is or may be in it."""
    may_have_person = has_person or not upload.reading or upload.refusal is not None
    if is_used(session, upload.id) or not may_have_person:
        return False
    return bool(changed_rows(session, update(Upload).where(Upload.id == upload.id).values(discarded_at=func.now())))


def _blank(session: Session, upload: Upload, rows: Sequence[int]) -> bool:
    """Empty these rows, and those of contacts that were erased from runs; return whether there were any."""
    empty = "," * max(len(upload.recognised.get("columns", [])) - 1, 0)
    of_upload = {"upload_id": upload.id, "line": empty}
    erased = len(session.execute(BLANK_ROWS, of_upload | {"rows": list(rows)}).all())
    for run_id in _runs_of(session, upload.id):
        of_run = of_upload | {"run_id": run_id}
        erased += len(session.execute(BLANK_ERASED, of_run).all())
    return erased > 0


def _runs_of(session: Session, upload_id: UUID) -> Sequence[UUID]:
    return session.scalars(select(Run.id).where(Run.upload_id == upload_id, Run.expired_at.is_(None))).all()


def _void(session: Session, run_id: UUID) -> None:
    run = lock_run(session, run_id)
    if run is not None and not run.retracted_at:
        void_files(session, run)
        touch_run(session, run_id, 0)
