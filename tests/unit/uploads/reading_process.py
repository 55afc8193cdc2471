"""Uploads files and reads them as the API does, in a process of its own; prints of each what came of it."""

import json
import sys
from pathlib import Path
from uuid import UUID

from models.database import Database, open_database
from pipeline.uploads.reading import ReadingLimits, read_upload
from pipeline.uploads.receiving import Limits, NewUpload, append, create_upload
from tests.unit.files.reading_process import peak_mb

PIECE = 1 << 20
MOST_BYTES = 64_000_000
LIMITS = Limits(MOST_BYTES, most_uploads=100, hours=1)
READING = ReadingLimits(most_rows=1_000_000, most_bytes=MOST_BYTES, knows_companies=False)


def read(database: Database, owner: UUID, path: Path) -> dict[str, object]:
    upload_id = upload(database, owner, path)
    with database.transaction() as session:
        found = read_upload(session, owner, upload_id, READING)
        rejected = found.recognised.get("rejected", [])
        return {
            "refused": found.refusal,
            "contacts": found.contact_count,
            "reason": rejected[0][2] if rejected else "",
            "peak_mb": peak_mb(),
        }


def upload(database: Database, owner: UUID, path: Path) -> UUID:
    with database.transaction() as session:
        upload_id = create_upload(session, owner, NewUpload(path.name, path.stat().st_size), LIMITS).id
    start = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            with database.transaction() as session:
                start = append(session, owner, upload_id, start, piece, LIMITS)
    return upload_id


if __name__ == "__main__":
    url, owner, *names = sys.argv[1:]
    opened = open_database(url)
    print(json.dumps({name: read(opened, UUID(owner), Path(name)) for name in names}))  # noqa: T201 - for the test
    opened.close()
