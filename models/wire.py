"""Requests and responses. CONTRACT: the ten top-level keys of `RunState`, in this order."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, Self, TypeVar, get_args
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    StrictBool,
    StrictInt,
    ValidationInfo,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from models import bounds
from models.bounds import ColumnsOfRun, check_columns
from models.state_wire import DataSourceMix, DocumentedAs, FileHandle, GapReport, Preview, ResultContact

T = TypeVar("T")

_CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f"
NOT_ALLOWED = re.compile(f"[{_CONTROLS}]")
KNOWS_COMPANIES = "knows_companies"
"""A key in the validation context: contacts may have a company and no domain, since the engine knows companies."""

Preset = Literal["full_pipeline", "verify_existing_emails"]
ExportFormat = Literal[
    "csv", "json", "ndjson", "xlsx", "parquet",
    "excel", "excel_de", "excel_es", "excel_fr", "excel_it", "excel_nl", "excel_pl", "excel_pt",
]  # fmt: skip
Status = Literal["pending", "running", "completed", "failed", "cancelled"]
EmailStatus = Literal["valid", "risky", "invalid", "unknown", "unverified", "not_found"]
ContactField = Literal["email", "first_name", "last_name", "full_name", "company", "domain"]


def _printable(text: str) -> str:
    if NOT_ALLOWED.search(text):
        raise ValueError("control characters are not allowed: remove them")
    return text


def each_once(names: list[T]) -> list[T]:
    """For a list whose entries must differ."""
    if len(set(names)) < len(names):
        raise ValueError("a name is there more than once: send each once")
    return names


def _null_is_empty(value: object) -> object:
    return "" if value is None else value


def _null_or(most: int) -> BeforeValidator:
    """`null` means not given."""
    text = Annotated[str, Field(max_length=most, pattern=f"^[^{_CONTROLS}]*$")]
    return BeforeValidator(_null_is_empty, json_schema_input_type=text | None)


Printable = AfterValidator(_printable)
AsDocumented = Field(json_schema_extra={"pattern": f"^[^{_CONTROLS}]*$"})
Text200 = Annotated[str, Field(max_length=bounds.NAME.most), AsDocumented, Printable]
Text320 = Annotated[str, Field(max_length=bounds.ADDRESS.most), AsDocumented, Printable]
Name = Annotated[Text200, _null_or(bounds.NAME.most)]
AddressText = Annotated[Text320, _null_or(bounds.ADDRESS.most)]
IdempotencyKey = Annotated[
    str,
    Field(min_length=1, max_length=bounds.IDEMPOTENCY_KEY.most, pattern=r"^[ -~]+$"),
]

EachOnce = Field(json_schema_extra={"uniqueItems": True})
RequiredFields = Annotated[
    list[ContactField], FailFast(), Field(max_length=len(get_args(ContactField))), EachOnce, AfterValidator(each_once)
]
ExportFormats = Annotated[
    list[ExportFormat], FailFast(), Field(max_length=len(get_args(ExportFormat))), EachOnce, AfterValidator(each_once)
]
HookIds = Annotated[list[UUID], FailFast(), Field(max_length=bounds.HOOKS.most), EachOnce, AfterValidator(each_once)]


def any_of(*choices: tuple[str, ...]) -> JsonDict:
    """For a model's JSON schema: all fields of one of these choices must be there, and not blank."""
    given: JsonDict = {"type": "string", "pattern": r"\S"}
    return {"anyOf": [{"required": [*names], "properties": dict.fromkeys(names, given)} for names in choices]}


NAMED = (("domain", "full_name"), ("domain", "first_name", "last_name"))


def needs_of(preset: str, *, knows_companies: bool) -> list[list[str]]:
    """What a contact needs for a preset: all fields of one of these lists."""
    if preset == "verify_existing_emails":
        return [["email"]]
    of_companies = [["company" if name == "domain" else name for name in names] for names in NAMED]
    return [["email"], *map(list, NAMED), *(of_companies if knows_companies else [])]


class ContactIn(BaseModel):
    """A contact as the client sends it. Unknown columns are kept and returned in the exports.

    With a list of companies (`COMPANIES_FILE`), a contact may have a `company` instead of a `domain`.
    """

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra=any_of(("email",), *NAMED, ("company", "full_name"), ("company", "first_name", "last_name")),
    )

    first_name: Name = ""
    last_name: Name = ""
    full_name: Name = ""
    company: Name = ""
    domain: AddressText = ""
    email: AddressText = ""

    @model_validator(mode="after")
    def _columns_can_be_kept(self) -> Self:
        if self.model_extra:
            check_columns(self.model_extra)
        return self


def _without_default(schema: JsonDict) -> None:
    """For a field of which another one is an alternative: its default can't be sent."""
    schema.pop("default", None)


class InputAssets(BaseModel):
    """What a run works on: contacts, or those of an upload."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra={"oneOf": [{"required": ["contacts"]}, {"required": ["upload_id"]}]},
    )

    # What is not given is left out of the request's hash: keys and quotes from before uploads existed stay valid.
    contacts: list[ContactIn] = Field(
        [], min_length=1, exclude_if=lambda contacts: not contacts, json_schema_extra=_without_default
    )
    upload_id: UUID | None = Field(
        None, exclude_if=lambda upload_id: upload_id is None, json_schema_extra=_without_default
    )

    @model_validator(mode="after")
    def _contacts_come_from_one_place(self) -> Self:
        if not self.contacts and self.upload_id is None:
            raise PydanticCustomError("missing", "contacts or upload_id is needed: give one of them")
        if self.contacts and self.upload_id is not None:
            raise ValueError("contacts and upload_id are both given: give one of them")
        return self

    @model_validator(mode="after")
    def _columns_are_few(self) -> Self:
        columns = ColumnsOfRun()
        for row, contact in enumerate(self.contacts, start=1):
            columns.add(row, contact.model_extra)
        return self


class Output(BaseModel):
    """What the client wants back."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    required_fields: RequiredFields = ["email"]
    preview_rows: StrictInt = Field(0, ge=0, le=bounds.PREVIEW_ROWS.most)
    export_formats: ExportFormats = ["csv", "json"]
    # Left out of the request's hash by default, so that idempotency keys from before it existed keep their runs.
    fresh: StrictBool = Field(default=False, exclude_if=lambda fresh: not fresh)
    hooks: HookIds = Field([], exclude_if=lambda hooks: not hooks)


class GoalPlan(BaseModel):
    """A run, as a client orders it."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    pipeline_id: Literal["email_discovery_v1"]
    preset: Preset
    input_assets: InputAssets
    output: Output = Output()

    @model_validator(mode="after")
    def _contacts_can_be_worked(self, info: ValidationInfo) -> Self:
        missing = self._what_is_missing(knows_companies=bool((info.context or {}).get(KNOWS_COMPANIES)))
        problems = [
            f"contact {row}: {problem}"
            for row, contact in enumerate(self.input_assets.contacts, start=1)
            if (problem := missing(contact))
        ]
        if problems:
            raise ValueError(_listed(problems))
        return self

    def _what_is_missing(self, *, knows_companies: bool) -> Callable[[ContactIn], str | None]:
        if self.preset == "verify_existing_emails":
            return _missing_email
        return _missing_field_or_company if knows_companies else _missing_field


class RunRequest(BaseModel):
    """The body of `POST /api/v1/growth/run`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    goal_plan: GoalPlan
    quote_token: Annotated[str, Field(min_length=1, max_length=bounds.QUOTE_TOKEN.most)] | None = None


class RunAcceptedPreview(BaseModel):
    """What the answer to a created run holds beside its id."""

    message: str = "Enrichment has been queued."
    pipeline_id: str


class RunAccepted(BaseModel):
    """The answer to a created run: accepted and queued."""

    status: Literal["running"] = "running"
    run_id: UUID
    preview: RunAcceptedPreview


def _no_number(value: object) -> object:
    if isinstance(value, str) and not value.strip("+-.0123456789"):
        raise ValueError("it should be a time with its offset, such as 2026-11-30T08:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_no_number)]
"""A time as RFC 3339 has it; Pydantic takes the seconds since 1970, too."""


class StageProgress(BaseModel):
    """How far one stage is, in contacts."""

    done: int
    total: int


class RunFailure(BaseModel):
    """Why a run failed."""

    code: str
    message: str
    stage: str | None


class Progress(BaseModel):
    """How far a run is, for people and programs."""

    percent: int = Field(ge=0, le=100)
    message: str
    stages: dict[str, StageProgress]
    updated_at: datetime
    error: RunFailure | None = Field(None, exclude_if=lambda error: error is None)


class RunState(BaseModel):
    """The status response."""

    run_id: UUID
    status: str
    stage_status: dict[str, str]
    progress: Progress
    result_handles: Annotated[list[dict[str, Any]], DocumentedAs(list[ResultContact])]
    artifact_handles: Annotated[list[dict[str, Any]], DocumentedAs(list[FileHandle])]
    export_handles: Annotated[list[dict[str, Any]], DocumentedAs(list[FileHandle])]
    preview: Annotated[dict[str, Any], DocumentedAs(Preview)]
    data_source_mix: Annotated[dict[str, Any], DocumentedAs(DataSourceMix)]
    gap_report: Annotated[dict[str, Any], DocumentedAs(GapReport)]


class RunInList(BaseModel):
    """A run in the list of an account's runs. The counts are there once it is compiled."""

    run_id: UUID
    status: str
    preset: str
    percent: int
    contacts: int
    delivered_contacts: int | None
    verified_emails: int | None
    created_at: datetime
    finished_at: datetime | None
    retry_of: UUID | None


class RunsPage(BaseModel):
    """A page of runs, newest first. `next` is the `after` of the next page, if there is one."""

    runs: list[RunInList]
    next: str | None


class ResultsPage(BaseModel):
    """A page of results. `next` is the `after` of the next page, if there is one.

    Until `status` is final, contacts may be added and results may change.
    """

    status: str
    results: Annotated[list[dict[str, Any]], DocumentedAs(list[ResultContact])]
    next: str | None


class TimelineEvent(BaseModel):
    """Something that happened to a run: ids, counts and workers' names, never personal data."""

    at: datetime
    kind: str
    stage: str | None
    worker: str | None
    detail: dict[str, Any]


class Timeline(BaseModel):
    """A run's events, oldest first."""

    events: list[TimelineEvent]


class ErrorBody(BaseModel):
    """Every error: a sentence that says what to do."""

    detail: str


def _missing_email(contact: ContactIn) -> str | None:
    return None if contact.email.strip() else "field email is missing: this preset verifies addresses that you bring"


def _missing_field(contact: ContactIn) -> str | None:
    if contact.email.strip():
        return None
    if not contact.domain.strip():
        return "field domain is missing: give the company's domain, or an email to verify"
    return _missing_name(contact)


def _missing_field_or_company(contact: ContactIn) -> str | None:
    return _missing_name(contact) if contact.company.strip() else _missing_field(contact)


def _missing_name(contact: ContactIn) -> str | None:
    if contact.email.strip():
        return None
    if not contact.full_name.strip() and not (contact.first_name.strip() and contact.last_name.strip()):
        return "field full_name is missing: give it, or both first_name and last_name"
    return None


def _listed(problems: list[str], most: int = 10) -> str:
    rest = len(problems) - most
    return "; ".join(problems[:most]) + (f"; and {rest} more" if rest > 0 else "")
