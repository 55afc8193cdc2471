"""Client of the growth engine: submit contacts, watch the run, fetch what was found.

`GrowthClient` blocks, `AsyncGrowthClient` is for asyncio; both have the same methods. `Webhook` verifies webhooks.
`growth_client.enqueue` is for a process that shares the engine's database.
"""

from growth_client.answers import FINAL, Accepted, FileHandle, Output, Quote, RunInList, RunState, TimelineEvent, Upload
from growth_client.async_client import AsyncGrowthClient
from growth_client.client import GrowthClient
from growth_client.errors import (
    Conflict,
    DownloadFailed,
    Forbidden,
    GrowthError,
    InsufficientCredits,
    Invalid,
    NotAnEngine,
    NotAuthorised,
    NotFound,
    RateLimited,
    Refused,
    Unavailable,
    Unreachable,
    UploadRefused,
    WebhookRefused,
)
from growth_client.retries import Retries
from growth_client.server_sent import Event
from growth_client.webhooks import Webhook

__all__ = [
    "FINAL",
    "Accepted",
    "AsyncGrowthClient",
    "Conflict",
    "DownloadFailed",
    "Event",
    "FileHandle",
    "Forbidden",
    "GrowthClient",
    "GrowthError",
    "InsufficientCredits",
    "Invalid",
    "NotAnEngine",
    "NotAuthorised",
    "NotFound",
    "Output",
    "Quote",
    "RateLimited",
    "Refused",
    "Retries",
    "RunInList",
    "RunState",
    "TimelineEvent",
    "Unavailable",
    "Unreachable",
    "Upload",
    "UploadRefused",
    "Webhook",
    "WebhookRefused",
]  # fmt: skip
