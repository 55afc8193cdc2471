"""Artifacts: the rows that list what a run delivers."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.artifact import EXPORT, Artifact
from pipeline.credits import Delivered
from pipeline.results.exports import ExportFile
from pipeline.results.formats import FORMATS

NO_FILE = dict.fromkeys(("format", "mime_type", "bytes", "sha256", "storage_key"))

Handed = dict[str, Any] | ExportFile


def verified_contacts(counts: Delivered) -> dict[str, Any]:
    """The artifact that every completed run has."""
    return {
        "asset_id": "verified_contacts",
        "label": "Verified Contacts",
        "kind": "contacts",
        "rows": counts.verified,
    }


def add_artifacts(session: Session, run_id: UUID, handed: Iterable[Handed]) -> None:
    """Add artifacts to a run; existing ones stay."""
    rows = [{**NO_FILE, "run_id": run_id, **(_row(each) if isinstance(each, ExportFile) else each)} for each in handed]
    if rows:
        session.execute(insert(Artifact).values(rows).on_conflict_do_nothing())


def retract_exports(session: Session, run_id: UUID) -> None:
    """Stop publishing the run's exports until its files are written again."""
    session.execute(delete(Artifact).where(Artifact.run_id == run_id, Artifact.kind == EXPORT))


def _row(export: ExportFile) -> dict[str, Any]:
    columns = asdict(export)
    del columns["unfinished"]
    return {"label": f"Contacts ({FORMATS[export.format].label})", "kind": EXPORT, **columns}
