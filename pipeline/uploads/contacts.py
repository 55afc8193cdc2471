"""Gives the contacts of an upload to a run: set-based, inside Postgres."""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from models.upload import Upload
from pipeline.errors import InvalidInput, UploadBusy, UploadConflict
from pipeline.uploads.receiving import BUSY, find_upload

# The order of work is that of `pipeline.runs.create`: contacts of one domain are neighbours.
INSERT_CONTACTS = text("""
INSERT INTO contacts (run_id, position, input_row, first_name, last_name, full_name, company, domain, email, extra)
SELECT :run_id, row_number() OVER (ORDER BY work_order COLLATE "C", contact) - 1, contact,
       first_name, last_name, full_name, company, domain, nullif(email, ''), extra
FROM upload_rows WHERE upload_id = :upload_id AND is_first
""")
SORT_IN_MEMORY = text("SELECT set_config('work_mem', '64MB', true)")

DOMAINS = text("""
SELECT CASE WHEN domain = '' THEN '' ELSE work_order END AS domain, count(*) AS contacts
FROM upload_rows WHERE upload_id = :upload_id AND is_first AND email = '' GROUP BY 1
""")

FIRST_CONTACTS = text("""
SELECT row, first_name, last_name, full_name, company, domain, email, extra
FROM upload_rows WHERE upload_id = :upload_id AND is_first ORDER BY row LIMIT :count
""")


def usable_upload(session: Session, account_id: UUID, upload_id: UUID, preset: str) -> Upload:
    """An upload from which a run of this preset can start; it stays as it is until the transaction ends.

    Raises `UnknownUpload`, `UploadConflict` if it is not read, `InvalidInput` if it was refused or read for another
    preset.
    """
    find_upload(session, account_id, upload_id)
    shared = select(Upload).where(Upload.id == upload_id).with_for_update(read=True, skip_locked=True)
    upload = session.scalar(shared.execution_options(populate_existing=True))
    if upload is None:
        raise UploadBusy(BUSY)
    upload = find_upload(session, account_id, upload_id)
    if upload.refusal:
        raise InvalidInput(f"The upload can't be used: {upload.refusal}")
    if not upload.is_complete:
        raise UploadConflict(f"Only {upload.received} bytes of this upload have arrived: send the others first.")
    if not upload.is_ready:
        raise UploadConflict(f"This upload is not read yet: GET /api/v1/growth/uploads/{upload_id} reads it.")
    if upload.preset != preset:
        raise InvalidInput(
            f"The upload was read for {upload.preset}, and the run is {preset}: have it read for that, with PUT "
            f"/api/v1/growth/uploads/{upload_id}/reading."
        )
    return upload


def insert_contacts(session: Session, run_id: UUID, upload_id: UUID) -> None:
    """Write the contacts of a run from those of its upload."""
    session.execute(SORT_IN_MEMORY)
    session.execute(INSERT_CONTACTS, {"run_id": run_id, "upload_id": upload_id})


def contacts_by_domain(session: Session, upload_id: UUID) -> Counter[str]:
    """How many of an upload's contacts without an address are of which domain; `""` for no domain."""
    rows = session.execute(DOMAINS, {"upload_id": upload_id})
    return Counter({domain if not domain.startswith("\x01") else "": contacts for domain, contacts in rows})


def first_contacts(session: Session, upload_id: UUID, count: int) -> Sequence[Row[Any]]:
    """The first different contacts of an upload, as they were read."""
    return session.execute(FIRST_CONTACTS, {"upload_id": upload_id, "count": count}).all()
