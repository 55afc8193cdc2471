"""Uploads, as clients send and see them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from models import bounds
from models.wire import AsDocumented, ContactField, Preset, Printable

UploadStatus = Literal["receiving", "received", "reading", "ready", "refused"]
Heading = Annotated[str, Field(max_length=bounds.HEADING.most), AsDocumented, Printable]
EncodingName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_.:-]+$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{64}$")]


class ReadingRequest(BaseModel):
    """How a file is to be read. `mapping` gives fields the headings of their columns; an empty one means no column."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    preset: Preset = "full_pipeline"
    mapping: dict[ContactField, Heading] = {}

    @property
    def chosen(self) -> dict[str, str]:
        """The mapping."""
        return {str(name): heading for name, heading in self.mapping.items()}

    encoding: EncodingName | None = None


class UploadColumn(BaseModel):
    """A column of a file, and the field that it was recognised as."""

    heading: str
    field: str | None


class UploadCounts(BaseModel):
    """What became of the rows of a file. Only different contacts are charged."""

    rows: int
    contacts: int
    repeated: int
    empty: int
    notes: int
    rejected: int


class RejectedRow(BaseModel):
    """A row that can't be used, numbered as a spreadsheet shows it."""

    row: int
    field: str
    reason: str


class UploadShown(BaseModel):
    """An upload. What was read of it is there once it is `ready`; `detail` says why it is `refused`."""

    upload_id: UUID
    status: UploadStatus
    detail: str
    name: str
    bytes: int | None
    received: int
    sha256: str | None
    expires_at: datetime
    preset: str
    mapping: dict[str, str]
    encoding: str | None
    description: str
    notices: list[str]
    columns: list[UploadColumn]
    counts: UploadCounts | None
    contacts: list[dict[str, Any]]
    rejected: list[RejectedRow]


class UploadProgress(BaseModel):
    """How much of an upload has arrived, and how many of its rows have been read."""

    status: UploadStatus
    bytes: int | None
    received: int
    rows_read: int


class Uploads(BaseModel):
    """Uploads of an account, newest first."""

    uploads: list[UploadShown]
