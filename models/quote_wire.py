"""Quotes, presets and credits, as clients send and see them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from models.wire import GoalPlan, InputAssets, Preset

QuoteError = Literal[
    "invalid_goal_plan", "missing_input_assets", "max_external_spend_too_low", "quote_validation_failed"
]

MostCredits = Annotated[int, Field(strict=True, ge=0)]


class QuoteRequest(BaseModel):
    """The body of `POST /api/v1/growth/quote`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    goal_plan: GoalPlan
    max_external_spend_credits: MostCredits | None = None


class UploadQuoteRequest(BaseModel):
    """The same for all contacts of an upload, with the preset that it was read for: the answer has the plan."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    upload_id: UUID
    max_external_spend_credits: MostCredits | None = None

    def plan(self, preset: Preset) -> GoalPlan:
        """The plan that this stands for."""
        assets = InputAssets(upload_id=self.upload_id)
        return GoalPlan(pipeline_id="email_discovery_v1", preset=preset, input_assets=assets)


class ProviderEstimate(BaseModel):
    """What paid look-ups may cost, in the currency of the providers' prices, by `based_on_contacts` of earlier runs."""

    cost: float
    based_on_contacts: int


class ExpectedArtifacts(BaseModel):
    """How many contacts will have an address, and of those how many a verified one, as far as can be told."""

    verified_emails: int
    enriched_contacts: int


class Quote(BaseModel):
    """The answer for a plan that can be run: its price, and the token that confirms it."""

    ok: Literal[True] = True
    quotable: Literal[True] = True
    quote_token: str
    expiry: datetime
    credits_total: int
    cost_breakdown: dict[str, int]
    provider_estimate: ProviderEstimate
    expected_artifacts: ExpectedArtifacts
    goal_plan: dict[str, Any]
    suggested_next_action: str


class NoQuote(BaseModel):
    """The answer for a plan that can't be run as it is: what is missing, and what to do."""

    ok: Literal[False] = False
    quotable: Literal[False] = False
    missing_requirements: list[str]
    error_code: QuoteError
    detail: str
    suggested_next_action: str


class PresetShown(BaseModel):
    """A preset: its stages in order, what each contact needs, and what it costs."""

    name: str
    stages: list[str]
    needs: list[list[str]]
    credits_per_contact: int
    rebate_per_unresolved: int
    rebate_per_unverified: int


class Presets(BaseModel):
    """All presets."""

    presets: list[PresetShown]


class StatementEntry(BaseModel):
    """One movement of credits: what it changed in the balance, and in what is held for runs."""

    id: UUID
    at: datetime
    kind: str
    run_id: UUID | None
    credits: int
    held: int


class Credits(BaseModel):
    """The account's balance, what its runs hold, and a page of its statement, newest first.

    `next` is the `before` of the next page, if there is one.
    """

    balance: int
    held: int
    statement: list[StatementEntry]
    next: UUID | None
