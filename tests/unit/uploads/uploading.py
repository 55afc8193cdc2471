"""Uploads in the states that tests need."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from models.database import Database
from models.upload import Upload
from models.wire import GoalPlan
from pipeline.credits import RateCard
from pipeline.runs.create import CreatedRun, create_run
from pipeline.uploads.reading import Reading, ReadingLimits, read_upload
from pipeline.uploads.receiving import Limits, NewUpload, append, create_upload

LIMITS = Limits(most_bytes=1 << 20, most_uploads=5, hours=1)
READING = ReadingLimits(most_rows=10_000, most_bytes=1 << 22, knows_companies=False)
PEOPLE = (
    b"First Name,Last Name,Website,Team\nAda,Ex,alpha.test,x\nBo,Ex,beta.test,y\nada,ex,alpha.test,z\nCy,,a.test,\n"
)


def received(database: Database, owner: UUID, data: bytes = PEOPLE, **new: Any) -> UUID:
    """A complete upload that was not read."""
    announced = NewUpload(**{"name": "people.csv", "size": len(data), **new})
    with database.transaction() as session:
        upload_id = create_upload(session, owner, announced, LIMITS).id
        if data:
            append(session, owner, upload_id, 0, data, LIMITS)
    return upload_id


def read(
    database: Database,
    owner: UUID,
    upload_id: UUID,
    limits: ReadingLimits = READING,
    anew: Reading | None = None,
) -> Upload:
    with database.transaction() as session:
        return read_upload(session, owner, upload_id, limits, anew)


def ready(database: Database, owner: UUID, data: bytes = PEOPLE, **new: Any) -> UUID:
    """An upload from which a run can start."""
    upload = read(database, owner, received(database, owner, data, **new))
    assert upload.refusal is None
    return upload.id


def refusal(database: Database, owner: UUID, data: bytes, limits: ReadingLimits = READING, **new: Any) -> str:
    return str(read(database, owner, received(database, owner, data, **new), limits).refusal)


def plan_of(upload_id: UUID, preset: str = "full_pipeline", **output: Any) -> GoalPlan:
    return GoalPlan.model_validate(
        {
            "pipeline_id": "email_discovery_v1",
            "preset": preset,
            "input_assets": {"upload_id": str(upload_id)},
            "output": output,
        }
    )


def run_from(database: Database, owner: UUID, upload_id: UUID, key: str | None = None, **output: Any) -> CreatedRun:
    with database.transaction() as session:
        plan = plan_of(upload_id, **output)
        return create_run(session, owner, plan, rate_card=RateCard(), idempotency_key=key)


def rows(database: Database, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with database.transaction() as session:
        return [tuple(row) for row in session.execute(text(query), parameters)]


def rows_of(database: Database, upload_id: UUID) -> list[tuple[Any, ...]]:
    """Row number, contact, whether it is the first, and why it is rejected."""
    return rows(
        database,
        "SELECT row, contact, is_first, reason FROM upload_rows WHERE upload_id = :id ORDER BY row",
        id=upload_id,
    )


def packed(data: bytes) -> bytes:
    return gzip.compress(data)


def temporary_files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


Columns = Mapping[str, str]
