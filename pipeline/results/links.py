"""Links to export files: they need no API key, and end.

A link is signed with a key of its file, which exists nowhere but in the file's row: a file that is written again, or
whose run has expired, has no valid links left.
"""

import hashlib
import hmac
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, Self
from uuid import UUID

from models.artifact import Artifact

STEP_S = 3600
"""Links end at full hours: states of a run that are read within an hour have the same ones."""


class LinkSettings(Protocol):
    """The settings that concern links."""

    @property
    def public_url(self) -> str: ...

    @property
    def download_url_hours(self) -> float: ...

    @property
    def retention_days(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Links:
    """Where files are downloaded, how many hours a link is valid, and for how many days files are kept."""

    public_url: str = ""
    hours: float = 24
    retention_days: float = 90

    @classmethod
    def of(cls, settings: LinkSettings) -> Self:
        """The links of the settings."""
        return cls(settings.public_url, settings.download_url_hours, settings.retention_days)

    def to(self, artifact: Artifact) -> str:
        """The link to a file: valid for so many hours from now, and up to one more."""
        expires = (int(time.time() + self.hours * 3600) // STEP_S + 1) * STEP_S
        signature = _signature(artifact.signing_key, artifact.run_id, artifact.asset_id, expires)
        path = f"/api/v1/growth/runs/{artifact.run_id}/exports/{artifact.asset_id}"
        return f"{self.public_url}{path}?expires={expires}&signature={signature}"

    def end_of(self, finished_at: datetime) -> datetime:
        """When the files of a run are deleted."""
        return finished_at + timedelta(days=self.retention_days)


def is_valid(artifact: Artifact, expires: int, signature: str) -> bool:
    """Whether a link to this file was signed by us and has not ended."""
    ours = _signature(artifact.signing_key, artifact.run_id, artifact.asset_id, expires)
    return hmac.compare_digest(ours.encode(), signature.encode()) and time.time() < expires


def _signature(key: bytes, run_id: UUID, asset_id: str, expires: int) -> str:
    return hmac.new(key, f"{run_id}/{asset_id}/{expires}".encode(), hashlib.sha256).hexdigest()
