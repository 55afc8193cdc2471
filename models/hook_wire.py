"""Hooks and their deliveries, as clients send and see them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool
from pydantic.config import JsonDict

from models import bounds
from models.wire import AsDocumented, EachOnce, Printable, each_once

EventName = Literal["run.completed", "run.failed", "run.cancelled", "run.progress", "contact.finished"]
Runs = Literal["all", "named"]
StateName = Literal["pending", "delivered", "dead", "replayed", "skipped"]

EventNames = Annotated[list[EventName], Field(min_length=1, max_length=5), EachOnce, AfterValidator(each_once)]
Url = Annotated[str, Field(min_length=1, max_length=bounds.HOOK_URL.most)]
Description = Annotated[str, Field(max_length=bounds.HOOK_DESCRIPTION.most), AsDocumented, Printable]

ENDS: list[EventName] = ["run.completed", "run.failed", "run.cancelled"]
HOOK: JsonDict = {
    "hook_id": "01a22c94-926a-7387-9974-1e1c0e120c89",
    "url": "https://app.example/growth",
    "events": ["run.completed", "run.failed", "run.cancelled"],
    "runs": "all",
    "description": "CRM",
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "created_at": "2026-11-30T12:00:00Z",
}
SECRET: JsonDict = {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwq1Vn0r2t0aE="}  # an invented one
DELIVERY: JsonDict = {
    "delivery_id": "d64b7de7-d35d-4b5a-8083-28b0ba9c2b1d",
    "webhook_id": "msg_d64b7de7d35d4b5a808328b0ba9c2b1d",
    "run_id": "7c3e1d22-9b4a-4f8c-b1e2-3d5f0a7c9e1b",
    "event": "run.completed",
    "contacts": 0,
    "state": "delivered",
    "attempts": 2,
    "log": [
        {"at": "2026-11-30T12:00:01Z", "status": 503, "problem": "it answered 503", "milliseconds": 12},
        {"at": "2026-11-30T12:00:06Z", "status": 204, "problem": "", "milliseconds": 9},
    ],
    "created_at": "2026-11-30T12:00:00Z",
    "finished_at": "2026-11-30T12:00:06Z",
}


def _example(*parts: JsonDict) -> JsonDict:
    return {"examples": [{name: value for part in parts for name, value in part.items()}]}


class HookRequest(BaseModel):
    """A hook to add. `runs`: notified of `all` runs, or of those that are `named` in `goal_plan.output.hooks`."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra=_example({"url": "https://app.example/growth", "events": list(ENDS), "runs": "all"}),
    )

    url: Url
    events: EventNames = ENDS
    runs: Runs = "all"
    description: Description = ""


class HookChange(BaseModel):
    """What is to change of a hook. `enabled` makes one that was disabled deliver again."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, json_schema_extra=_example({"enabled": True})
    )

    url: Url | None = None
    events: EventNames | None = None
    runs: Runs | None = None
    description: Description | None = None
    enabled: StrictBool | None = None


class RotationRequest(BaseModel):
    """For how many hours the present secret signs as well; 0: not at all."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, json_schema_extra=_example({"overlap_hours": 24})
    )

    overlap_hours: Annotated[float, Field(strict=True, ge=0, le=168)] = 24


class ReplayRequest(BaseModel):
    """Which dead deliveries are made again: all of the hook, or those of one run."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, json_schema_extra=_example({"run_id": None})
    )

    run_id: UUID | None = None


class HookShown(BaseModel):
    """A hook, without its secret. The engine disables one that is `gone` (410) or `failing` for days."""

    model_config = ConfigDict(json_schema_extra=_example(HOOK))

    hook_id: UUID
    url: str
    events: list[EventName]
    runs: Runs
    description: str
    enabled: bool
    disabled_reason: Literal["gone", "failing"] | None
    failing_since: datetime | None
    created_at: datetime


class HookWithSecret(HookShown):
    """A hook with its secret, which is shown this once."""

    model_config = ConfigDict(json_schema_extra=_example(HOOK, SECRET))

    secret: str = Field(repr=False)


class Hooks(BaseModel):
    """The hooks of an account, oldest first."""

    hooks: list[HookShown]


class DeliveryAttempt(BaseModel):
    """One attempt at a delivery; `status` is null if no answer came."""

    at: datetime
    status: int | None
    problem: str
    milliseconds: int


class Delivery(BaseModel):
    """A message to a hook and what came of it. `webhook_id` is the same in a replay."""

    model_config = ConfigDict(json_schema_extra=_example(DELIVERY))

    delivery_id: UUID
    webhook_id: str
    run_id: UUID
    event: EventName
    contacts: int
    state: StateName
    attempts: int
    log: list[DeliveryAttempt]
    created_at: datetime
    finished_at: datetime | None


class DeliveriesPage(BaseModel):
    """A page of deliveries, newest first. `next` is the `after` of the next page, if there is one."""

    deliveries: list[Delivery]
    next: str | None


class Replayed(BaseModel):
    """How many deliveries are made again. `more`: others are left, so ask again."""

    model_config = ConfigDict(json_schema_extra=_example({"replayed": 3, "more": False}))

    replayed: int
    more: bool


class HookBody(BaseModel):
    """The body that a hook gets. `data` is the state of a run; for `contact.finished` its id and `contacts`."""

    type: EventName
    timestamp: datetime
    data: dict[str, Any]
