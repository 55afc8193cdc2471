"""Artifacts: the rows that list what a run delivers."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.artifact import EXPORT, Artifact
from models.run import Run
from pipeline.credits import Delivered
from pipeline.results.exports import ExportFile
from pipeline.results.reports import run_summary
from pipeline.results.wanted import VERIFIED

NO_FILE = dict.fromkeys(("format", "mime_type", "bytes", "sha256", "storage_key", "content"))

Handed = dict[str, Any] | ExportFile


def artifacts_of(counts: Delivered, files: Iterable[ExportFile]) -> list[Handed]:
    """The files of a completed run. Its verified contacts are listed also if they have none."""
    handed: list[Handed] = [*files]
    if not any(file.asset_id == VERIFIED for file in files):
        handed.append({"asset_id": VERIFIED, "label": "Verified Contacts", "kind": "contacts", "rows": counts.verified})
    return handed


def summary_of(run: Run) -> dict[str, Any]:
    """The summary of a completed run: small enough to be kept in its row."""
    content = run_summary(run)
    return {
        "asset_id": "run_summary",
        "label": "Run Summary",
        "kind": "summary",
        "rows": 1,
        "format": "json",
        "mime_type": "application/json",
        "bytes": len(content.encode()),
        "sha256": hashlib.sha256(content.encode()).hexdigest(),
        "content": content,
    }


def add_artifacts(session: Session, run_id: UUID, handed: Iterable[Handed]) -> None:
    """Add artifacts to a run. An existing one stays, but gets a file if it has none."""
    rows = [{**NO_FILE, "run_id": run_id, **(_row(each) if isinstance(each, ExportFile) else each)} for each in handed]
    if not rows:
        return
    new = insert(Artifact).values(rows)
    # With a new key: links to a file of before are not valid for this one.
    of_file = {name: new.excluded[name] for name in (*NO_FILE, "rows", "signing_key")}
    lacks_file = Artifact.sha256.is_(None) & new.excluded.sha256.is_not(None)
    key = [Artifact.run_id, Artifact.asset_id]
    session.execute(new.on_conflict_do_update(index_elements=key, set_=of_file, where=lacks_file))


def retract_exports(session: Session, run_id: UUID) -> None:
    """Stop publishing the run's files until they are written again. Its other artifacts stay listed."""
    session.execute(delete(Artifact).where(Artifact.run_id == run_id, Artifact.kind == EXPORT))
    others = update(Artifact).where(Artifact.run_id == run_id, Artifact.storage_key.is_not(None))
    session.execute(others.values(NO_FILE).execution_options(synchronize_session=False))


def _row(export: ExportFile) -> dict[str, Any]:
    columns = asdict(export)
    del columns["unfinished"]
    return columns
