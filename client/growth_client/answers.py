"""The API's answers, as they are typed. They are plain dictionaries: what a later release adds is in them as well."""

from typing import Any, Literal, NotRequired, TypedDict

Preset = Literal["full_pipeline", "verify_existing_emails"]
Status = Literal["pending", "running", "completed", "failed", "cancelled"]
EmailStatus = Literal["valid", "risky", "invalid", "unknown", "unverified", "not_found"]
UploadStatus = Literal["receiving", "received", "reading", "ready", "refused"]

FINAL = frozenset({"completed", "failed", "cancelled"})
"""The statuses of a run that has ended."""


class AcceptedPreview(TypedDict):
    """Part of `Accepted`."""

    message: str
    pipeline_id: str


class Accepted(TypedDict):
    """The answer to a submitted run: accepted and queued."""

    status: str
    run_id: str
    preview: AcceptedPreview


class StageProgress(TypedDict):
    """How far a stage is, in contacts."""

    done: int
    total: int


class Failure(TypedDict):
    """Why a run failed."""

    code: str
    message: str
    stage: str | None


class Progress(TypedDict):
    """How far a run is."""

    percent: int
    message: str
    stages: dict[str, StageProgress]
    updated_at: str
    error: NotRequired[Failure]


class FileHandle(TypedDict):
    """A file of a run, as `export_handles` and `artifact_handles` name it."""

    asset_id: str
    label: NotRequired[str]
    kind: NotRequired[str]
    format: NotRequired[str]
    mime_type: NotRequired[str]
    rows: NotRequired[int]
    bytes: NotRequired[int]
    sha256: NotRequired[str]
    expires_at: NotRequired[str]
    download_url: NotRequired[str]


class RunState(TypedDict):
    """The state of a run. The last three are empty until it is compiled."""

    run_id: str
    status: Status
    stage_status: dict[str, str]
    progress: Progress
    result_handles: list[dict[str, Any]]
    artifact_handles: list[FileHandle]
    export_handles: list[FileHandle]
    preview: dict[str, Any]
    data_source_mix: dict[str, Any]
    gap_report: dict[str, Any]


class RunInList(TypedDict):
    """A run in the list of an account's runs."""

    run_id: str
    status: Status
    preset: Preset
    percent: int
    contacts: int
    delivered_contacts: int | None
    verified_emails: int | None
    created_at: str
    finished_at: str | None
    retry_of: str | None


class TimelineEvent(TypedDict):
    """Something that happened to a run."""

    at: str
    kind: str
    stage: str | None
    worker: str | None
    detail: dict[str, Any]


class UploadColumn(TypedDict):
    """A column of a file, and the field that it was recognised as."""

    heading: str
    field: str | None


class UploadCounts(TypedDict):
    """What became of the rows of a file."""

    rows: int
    contacts: int
    repeated: int
    empty: int
    notes: int
    rejected: int


class RejectedRow(TypedDict):
    """A row that can't be used, numbered as a spreadsheet shows it."""

    row: int
    field: str
    reason: str


class Upload(TypedDict):
    """An uploaded file, and how it was read."""

    upload_id: str
    status: UploadStatus
    detail: str
    name: str
    bytes: int | None
    received: int
    sha256: str | None
    expires_at: str
    preset: Preset
    mapping: dict[str, str]
    encoding: str | None
    description: str
    notices: list[str]
    columns: list[UploadColumn]
    counts: UploadCounts | None
    contacts: list[dict[str, Any]]
    rejected: list[RejectedRow]


class ProviderEstimate(TypedDict):
    """What paid look-ups may cost, in the currency of their prices."""

    cost: float
    based_on_contacts: int


class ExpectedArtifacts(TypedDict):
    """What a run will probably find."""

    verified_emails: int
    enriched_contacts: int


class Quote(TypedDict):
    """The price of a plan. Without `quotable`, `detail` says why there is none, and the price is missing."""

    ok: bool
    quotable: bool
    suggested_next_action: str
    quote_token: NotRequired[str]
    expiry: NotRequired[str]
    credits_total: NotRequired[int]
    cost_breakdown: NotRequired[dict[str, int]]
    provider_estimate: NotRequired[ProviderEstimate]
    expected_artifacts: NotRequired[ExpectedArtifacts]
    goal_plan: NotRequired[dict[str, Any]]
    missing_requirements: NotRequired[list[str]]
    error_code: NotRequired[str]
    detail: NotRequired[str]


class Output(TypedDict, total=False):
    """What a run is to give back; all of it may be left out."""

    required_fields: list[str]
    preview_rows: int
    export_formats: list[str]
    hooks: list[str]
    fresh: bool
