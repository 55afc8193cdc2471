"""Stores the bytes of uploads as they arrive. What is acknowledged is committed: a client goes on from there."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Select, exists, func, select, text, update
from sqlalchemy.orm import Session, defer

from models.account import Account
from models.bounds import FILE_NAME
from models.pauses import in_seconds
from models.run import Run
from models.schema import new_id
from models.upload import Upload
from pipeline.errors import InvalidInput, UnknownUpload, UploadBusy, UploadConflict

UNNAMED = "upload"
BUSY = "This upload is just being read: try again in some seconds."

INSERT_PIECE = text("INSERT INTO upload_pieces (upload_id, start, content) VALUES (:upload_id, :start, :content)")


@dataclass(frozen=True, slots=True)
class Limits:
    """What an operator allows: bytes of an upload, unused uploads of an account, and hours until they expire."""

    most_bytes: int
    most_uploads: int
    hours: float


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What a client says of a file before it sends it. `size` is None if it does not say how long it is."""

    name: str = ""
    size: int | None = None
    sha256: str | None = None
    preset: str = "full_pipeline"
    mapping: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None


def create_upload(session: Session, account_id: UUID, new: NewUpload, limits: Limits) -> Upload:
    """Create an upload without bytes. Raises `InvalidInput` if it is too large, `UploadConflict` for too many."""
    if new.size is not None:
        _check_size(new.size, limits)
    # One at a time, so that the number is right.
    session.execute(select(Account.id).where(Account.id == account_id).with_for_update(key_share=True))
    if len(session.scalars(_unused(account_id).limit(limits.most_uploads)).all()) >= limits.most_uploads:
        raise UploadConflict(
            f"The account has {limits.most_uploads} uploads that no run uses: start runs from them, delete some, or "
            "wait until they expire."
        )
    upload = Upload(
        id=new_id(),
        account_id=account_id,
        name=shown_name(new.name),
        size=new.size,
        expected_sha256=new.sha256.lower() if new.sha256 else None,
        preset=new.preset,
        mapping=dict(new.mapping),
        encoding=new.encoding,
        expires_at=in_seconds(3600 * limits.hours),
    )
    session.add(upload)
    session.flush()
    session.refresh(upload)
    return upload


def find_upload(session: Session, account_id: UUID, upload_id: UUID) -> Upload:
    """The upload, if it is this account's. Raises `UnknownUpload`."""
    upload = session.get(Upload, upload_id, populate_existing=True)
    return _checked(upload, account_id)


def uploads_of(session: Session, account_id: UUID, count: int) -> Sequence[Upload]:
    """The uploads of an account, newest first. What was recognised in them is loaded when it is asked for."""
    mine = select(Upload).where(Upload.account_id == account_id, Upload.discarded_at.is_(None))
    newest = mine.order_by(Upload.created_at.desc()).limit(count)
    return session.scalars(newest.options(defer(Upload.recognised))).all()


def unused_uploads(session: Session, account_id: UUID, count: int) -> Sequence[Upload]:
    """The uploads that no run uses, newest first, as `uploads_of`."""
    newest = select(Upload).where(Upload.id.in_(_unused(account_id))).order_by(Upload.created_at.desc()).limit(count)
    return session.scalars(newest.options(defer(Upload.recognised))).all()


def names_of_uploads(session: Session, upload_ids: Collection[UUID | None]) -> Mapping[UUID, str]:
    """The names of the files of these uploads that still exist."""
    kept = (Upload.id.in_([each for each in upload_ids if each]), Upload.discarded_at.is_(None))
    rows = session.execute(select(Upload.id, Upload.name).where(*kept))
    return {row.id: row.name for row in rows}


def lock_upload(session: Session, account_id: UUID, upload_id: UUID, *, skip_locked: bool = False) -> Upload:
    """Lock the upload's row until the transaction ends. Raises `UnknownUpload`.

    With `skip_locked` it raises `UploadConflict` if another transaction has it, instead of waiting.
    """
    locked = select(Upload).where(Upload.id == upload_id).with_for_update(key_share=True, skip_locked=skip_locked)
    upload = session.scalar(locked.execution_options(populate_existing=True))
    if upload is None and skip_locked:
        raise UploadBusy(BUSY)
    return _checked(upload, account_id)


def append(session: Session, account_id: UUID, upload_id: UUID, start: int, content: bytes, limits: Limits) -> int:
    """Store the bytes from `start` on; return how many the upload has now.

    Raises `UnknownUpload`, `InvalidInput` if the upload would become too large, and `UploadConflict` if `start` is not
    where it ends: another request has stored the same bytes.
    """
    upload = lock_upload(session, account_id, upload_id)
    if start != upload.received or upload.reading:
        raise UploadConflict(f"The upload has {upload.received} bytes: go on from there.")
    end = start + len(content)
    _check_size(end, limits)
    if upload.size is not None and end > upload.size:
        raise InvalidInput(f"More bytes came than the {upload.size} that were announced: create a new upload.")
    if content:
        session.execute(INSERT_PIECE, {"upload_id": upload_id, "start": start, "content": content})
    moved = update(Upload).where(Upload.id == upload_id)
    session.execute(moved.values(received=end, expires_at=in_seconds(3600 * limits.hours)))
    return end


def end_upload(session: Session, account_id: UUID, upload_id: UUID) -> None:
    """End an upload whose length was not announced: it has all of its bytes."""
    upload = lock_upload(session, account_id, upload_id)
    upload.size = upload.received
    session.flush()


def discard(session: Session, account_id: UUID, upload_id: UUID) -> None:
    """Discard an upload, which the sweeper then deletes. Raises `UnknownUpload`, `UploadConflict` if a run uses it."""
    upload = lock_upload(session, account_id, upload_id)
    if is_used(session, upload_id):
        raise UploadConflict("A run was started from this upload: it is deleted when the data of the run expires.")
    upload.discarded_at = func.now()
    session.flush()


def is_used(session: Session, upload_id: UUID) -> bool:
    """Whether a run was started from an upload whose data has not expired."""
    return bool(session.scalar(select(exists().where(Run.upload_id == upload_id, Run.retracted_at.is_(None)))))


def shown_name(name: str) -> str:
    """A file's name for messages: its last part, of visible characters."""
    last = name.replace("\\", "/").rpartition("/")[2].strip()
    visible = "".join(char if char.isprintable() else "_" for char in last[: FILE_NAME.most])
    return visible.encode("utf-8", "replace").decode() or UNNAMED


def _unused(account_id: UUID) -> Select[UUID]:
    used = exists().where(Run.upload_id == Upload.id)
    return select(Upload.id).where(Upload.account_id == account_id, Upload.discarded_at.is_(None), ~used)


def _checked(upload: Upload | None, account_id: UUID) -> Upload:
    if upload is None or upload.account_id != account_id or upload.discarded_at:
        raise UnknownUpload.with_this_id()
    return upload


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.most_bytes:
        raise InvalidInput(f"The file is larger than {limits.most_bytes} bytes: split it, or compress it with gzip.")
