"""Which files a run is to have: exports in the formats asked for, and for a completed run its artifacts.

Artifacts are in the first of the formats. All contacts are the export in that format under another name.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from models.artifact import EXPORT
from models.queries import ResultRow
from pipeline.outcomes import OutcomeStatus, Reason
from pipeline.results.exports import ExportFile, FileSpec
from pipeline.results.formats import FORMATS
from pipeline.results.rows import OWN, RESULT_COLUMNS

STATUS, REASON = (OWN + RESULT_COLUMNS.index(name) for name in ("email_status", "email_reason"))
EXPLAINED = (*RESULT_COLUMNS, "email_explanation", "email_advice")
"""The result columns of a gap report."""
VERIFIED, ALL, GAPS = "verified_contacts", "all_contacts", "gap_report"

_WHY = {reason.value: (reason.sentence, reason.advice) for reason in Reason}


def exports_in(formats: Iterable[str]) -> list[FileSpec]:
    """The export files in these formats."""
    return [FileSpec(f"contacts_{name}", EXPORT, f"Contacts ({FORMATS[name].label})", name) for name in formats]


def artifacts_in(formats: Sequence[str]) -> list[FileSpec]:
    """The files of a completed run beside its exports; none for a run without exports."""
    return [
        file
        for name in formats[:1]
        for file in (
            FileSpec(VERIFIED, "contacts", "Verified Contacts", name, verified),
            FileSpec(GAPS, "report", "Gap Report", name, gaps, EXPLAINED),
        )
    ]


def with_all_contacts(files: Sequence[ExportFile]) -> list[ExportFile]:
    """The files, with the first export as the artifact of all contacts where there are artifacts."""
    has_artifacts = any(file.asset_id == VERIFIED for file in files)
    first = [file for file in files if file.kind == EXPORT][:1] if has_artifacts else []
    return [*files, *(replace(file, asset_id=ALL, kind="contacts", label="All Contacts") for file in first)]


def verified(rows: Sequence[ResultRow]) -> Sequence[ResultRow]:
    """The contacts whose address is valid."""
    return [row for row in rows if row[STATUS] == OutcomeStatus.VALID]


def gaps(rows: Sequence[ResultRow]) -> Sequence[ResultRow]:
    """The contacts without a verified address, each with the explanation of its reason and advice."""
    return [
        (*row[:-1], *_WHY.get(row[REASON], ("", "")), row[-1]) for row in rows if row[STATUS] != OutcomeStatus.VALID
    ]
