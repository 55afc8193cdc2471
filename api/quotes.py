"""Routes for what can be run: presets, and quotes of what a plan would cost and find."""

from collections.abc import Sequence
from typing import cast
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic_core import ErrorDetails
from sqlalchemy.orm import Session

from api.access import AccountId
from api.bodies import CONTACTS, Body, NotValid, parse_quote_request
from api.document.openapi import body_of
from api.process_pool import run_by_size
from api.resources import Resources, settings_of
from api.runs import ERRORS
from api.slots import CHANGE
from models.quote_wire import (
    ExpectedArtifacts,
    NoQuote,
    Presets,
    PresetShown,
    ProviderEstimate,
    Quote,
    QuoteError,
    QuoteRequest,
    UploadQuoteRequest,
)
from models.run import PRESETS
from models.wire import Preset, needs_of
from pipeline.credits import RateCard
from pipeline.errors import InvalidInput, UnknownUpload, UploadConflict
from pipeline.ledger import standing
from pipeline.mail.address.lists import Lists
from pipeline.quotes.estimate import expect
from pipeline.quotes.tokens import digest_of, digest_with_upload, issue
from pipeline.runs.create import check_formats
from pipeline.runs.work_order import WorkOrder
from pipeline.stages import stages_of
from pipeline.uploads.contacts import usable_upload
from pipeline.uploads.receiving import find_upload
from settings import Settings

WORK_OF = {"full_pipeline": "enrichment", "verify_existing_emails": "verification"}
"""What `cost_breakdown` calls the work of each preset."""

quotes = APIRouter(prefix="/api/v1/growth", responses=ERRORS)  # type: ignore[arg-type]


@quotes.post(
    "/quote",
    response_model=Quote | NoQuote,
    dependencies=[CHANGE],
    openapi_extra=body_of(QuoteRequest, UploadQuoteRequest),
)
def quote(request: Request, account_id: AccountId, body: Body) -> Response:
    """The price of a plan, what it will probably find, and the token that confirms both. Nothing is charged."""
    # As JSON: a worker process has written it then, and the plan may have many contacts.
    return Response(run_by_size(request, body, _quote, account_id), media_type="application/json")


@quotes.get("/presets")
def presets(request: Request, _account_id: AccountId) -> Presets:
    """The presets: their stages, what each contact needs, and what it costs."""
    settings = settings_of(request)
    rates = RateCard.of(settings)
    return Presets(
        presets=[
            PresetShown(
                name=name,
                stages=list(stages_of(name)),
                needs=needs_of(name, knows_companies=settings.companies_file is not None),
                credits_per_contact=rates.per_contact,
                rebate_per_unresolved=rates.rebate_per_unresolved,
                rebate_per_unverified=rates.rebate_per_unverified,
            )
            for name in PRESETS
        ]
    )


def _quote(resources: Resources, body: bytes, account_id: UUID) -> bytes:
    return quoted(resources, body, account_id).model_dump_json().encode()


def quoted(resources: Resources, body: bytes, account_id: UUID) -> Quote | NoQuote:
    """The quote for a plan, or why there is none."""
    settings = resources.settings
    try:
        wanted = parse_quote_request(body, settings.max_contacts, knows_companies=settings.companies_file is not None)
        if isinstance(wanted, UploadQuoteRequest):
            return _quoted_upload(resources, account_id, wanted)
        # Before the transaction: for a large plan it takes seconds.
        digest = digest_of(wanted.goal_plan)
        with resources.database.transaction() as session:
            return _priced(session, settings, account_id, wanted, digest)
    except NotValid as error:
        return _not_quotable(str(error), error.problems)
    except InvalidInput as error:
        return _invalid_plan(str(error))
    except (UnknownUpload, UploadConflict) as error:
        return _upload_missing(str(error))


def _quoted_upload(resources: Resources, account_id: UUID, wanted: UploadQuoteRequest) -> Quote | NoQuote:
    with resources.database.transaction() as session:
        upload = find_upload(session, account_id, wanted.upload_id)
        plan = wanted.plan(cast("Preset", upload.preset))
        as_plan = QuoteRequest(goal_plan=plan, max_external_spend_credits=wanted.max_external_spend_credits)
        return _priced(session, resources.settings, account_id, as_plan, digest_of(plan))


def _priced(
    session: Session, settings: Settings, account_id: UUID, wanted: QuoteRequest, digest: bytes
) -> Quote | NoQuote:
    plan, rates = wanted.goal_plan, RateCard.of(settings)
    upload_id = plan.input_assets.upload_id
    upload = usable_upload(session, account_id, upload_id, plan.preset) if upload_id else None
    check_formats(plan, upload.contact_count if upload else len(plan.input_assets.contacts))
    # An upload holds each person once.
    charged = upload.contact_count if upload else WorkOrder.of(plan.input_assets.contacts, plan.preset).charged
    total = charged * rates.per_contact
    if wanted.max_external_spend_credits is not None and total > wanted.max_external_spend_credits:
        return _too_expensive(total, wanted.max_external_spend_credits)
    if upload:
        digest = digest_with_upload(digest, upload)
    expected = expect(session, account_id, plan, upload, Lists(settings.lists_dir))
    balance = standing(session, account_id).balance
    token, expiry = issue(session, account_id, digest, rates, settings.quote_minutes)
    return Quote(
        quote_token=token,
        expiry=expiry,
        credits_total=total,
        cost_breakdown={WORK_OF[plan.preset]: total},
        provider_estimate=ProviderEstimate(cost=expected.provider_cost, based_on_contacts=expected.known_contacts),
        expected_artifacts=ExpectedArtifacts(verified_emails=expected.verified, enriched_contacts=expected.with_email),
        goal_plan=plan.model_dump(mode="json"),
        suggested_next_action=_next_action(total, balance),
    )


def _next_action(total: int, balance: int) -> str:
    if balance < total:
        return (
            f"Buy {total - balance} credits, then send this goal_plan with the quote_token to POST /api/v1/growth/run."
        )
    return "Send this goal_plan with the quote_token to POST /api/v1/growth/run before the quote expires."


def _not_quotable(detail: str, problems: Sequence[ErrorDetails]) -> NoQuote:
    missing = [".".join(map(str, problem["loc"])) for problem in problems if problem["type"] == "missing"]
    if any(_is_about_contacts_at_all(problem) for problem in problems):
        return NoQuote(
            missing_requirements=[".".join(CONTACTS)],
            error_code="missing_input_assets",
            detail=detail,
            suggested_next_action="Add at least one contact to goal_plan.input_assets.contacts.",
        )
    if all(problem["loc"][:1] == ("goal_plan",) for problem in problems):
        return _invalid_plan(detail, missing)
    return NoQuote(
        missing_requirements=missing,
        error_code="quote_validation_failed",
        detail=detail,
        suggested_next_action="Correct the fields that `detail` names, and ask again.",
    )


def _is_about_contacts_at_all(problem: ErrorDetails) -> bool:
    """Whether there are no contacts, or nothing that could hold them."""
    place = problem["loc"]
    return place[:2] == CONTACTS[:2] and place == CONTACTS[: len(place)] and problem["type"] in ("missing", "too_short")


def _invalid_plan(detail: str, missing: Sequence[str] = ()) -> NoQuote:
    code: QuoteError = "invalid_goal_plan"
    return NoQuote(
        missing_requirements=list(missing),
        error_code=code,
        detail=detail,
        suggested_next_action="Correct the goal_plan where `detail` says, and ask again.",
    )


def _upload_missing(detail: str) -> NoQuote:
    return NoQuote(
        missing_requirements=[".".join((*CONTACTS[:2], "upload_id"))],
        error_code="missing_input_assets",
        detail=detail,
        suggested_next_action="Upload the file, and wait until it is ready.",
    )


def _too_expensive(total: int, most: int) -> NoQuote:
    return NoQuote(
        missing_requirements=[],
        error_code="max_external_spend_too_low",
        detail=f"This plan costs up to {total} credits, and max_external_spend_credits allows {most}.",
        suggested_next_action="Raise max_external_spend_credits, or send fewer contacts.",
    )
