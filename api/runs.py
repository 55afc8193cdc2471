"""Routes for runs: create, list, cancel, retry, export, and read what came of them."""

import json
import logging
import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response

from api.access import AccountId
from api.bodies import Body, parse_run_request
from api.document.openapi import body_of
from api.process_pool import run_by_size
from api.resources import Resources, database_of, redis_of, settings_of
from api.slots import CANCEL, CHANGE, LIST
from models.bounds import RESULTS, RUNS
from models.queries import events_of_run, run_of_account
from models.wire import (
    EmailStatus,
    ErrorBody,
    ExportFormat,
    IdempotencyKey,
    Moment,
    Preset,
    ResultsPage,
    RunAccepted,
    RunAcceptedPreview,
    RunInList,
    RunRequest,
    RunsPage,
    RunState,
    Status,
    Timeline,
    TimelineEvent,
)
from pipeline.credits import RateCard
from pipeline.errors import UnknownRun
from pipeline.results.export_lease import add_formats
from pipeline.results.links import Links
from pipeline.results.pages import as_json, read_page
from pipeline.runs import live_state
from pipeline.runs.create import CreatedRun, create_run
from pipeline.runs.lifecycle import cancel as cancel_run
from pipeline.runs.listing import ListedRun, Place, Wanted, list_runs
from pipeline.runs.retry import retry_run
from worker.dispatch import broker_may_be_away, send_chain, send_export

_UUID = re.compile(r"[0-9A-Fa-f-]{32,36}")
"""`UUID` also accepts blanks, signs, braces and digits of other scripts."""

log = logging.getLogger(__name__)

ERRORS = {status: {"model": ErrorBody} for status in (400, 401, 402, 403, 404, 408, 409, 422, 429, 503)}

runs = APIRouter(prefix="/api/v1/growth", responses=ERRORS)  # type: ignore[arg-type]


@runs.post(
    "/run",
    status_code=202,
    dependencies=[CHANGE],
    openapi_extra=body_of(RunRequest),
)
def create(
    request: Request,
    account_id: AccountId,
    body: Body,
    idempotency_key: Annotated[IdempotencyKey | None, Header()] = None,
) -> RunAccepted:
    """Create and enqueue a run."""
    return _accepted(run_by_size(request, body, _create, account_id, idempotency_key))


@runs.get("/runs", dependencies=[LIST])
def list_of_runs(
    request: Request,
    account_id: AccountId,
    status: Status | None = None,
    preset: Preset | None = None,
    since: Annotated[Moment | None, Query(description="Only runs that were created then or later")] = None,
    after: Annotated[str, Query(pattern="^([0-9]{1,17}-[0-9a-f]{32})?$", description="`next` of a page")] = "",
    limit: Annotated[int, Query(ge=1, le=RUNS.most)] = 100,
) -> RunsPage:
    """The account's runs, newest first, page by page."""
    wanted, place = Wanted(status, preset, since), Place.parse(after) if after else None
    with database_of(request).transaction() as session:
        listed = list_runs(session, account_id, wanted, place, limit)
    return RunsPage(
        runs=[_in_list(each) for each in listed], next=str(listed[-1].place) if len(listed) == limit else None
    )


@runs.post("/runs/{run_id}/cancel", response_model=RunState, dependencies=[CANCEL])
def cancel(request: Request, account_id: AccountId, run_id: str) -> Response:
    """Cancel a pending or running run. What was found is kept; the rest is credited back."""
    known_id = run_id_of(run_id)
    with database_of(request).transaction() as session:
        run = cancel_run(session, account_id, known_id)
        state = live_state.build(session, run, Links.of(settings_of(request)))
    live_state.publish(redis_of(request), state, settings_of(request).live_state_seconds)
    with broker_may_be_away(known_id):
        send_export(known_id)
    return Response(state.body, media_type="application/json")


@runs.post("/runs/{run_id}/retry", status_code=202, dependencies=[CHANGE])
def retry(request: Request, account_id: AccountId, run_id: str) -> RunAccepted:
    """Continue a failed or cancelled run as a new run, which is charged only for what is still missing."""
    known_id = run_id_of(run_id)
    with database_of(request).transaction() as session:
        created = retry_run(session, account_id, known_id)
    return _accepted(created)


@runs.post("/runs/{run_id}/exports", status_code=202, response_model=RunState, dependencies=[CHANGE])
def add_exports(
    request: Request,
    account_id: AccountId,
    run_id: str,
    export_format: Annotated[list[ExportFormat], Query(alias="format", min_length=1)],
) -> Response:
    """Have a finished run exported in further formats. `export_handles` lists the files once they are there."""
    known_id = run_id_of(run_id)
    with database_of(request).transaction() as session:
        run = add_formats(session, account_id, known_id, export_format)
        state = live_state.build(session, run, Links.of(settings_of(request)))
    live_state.publish(redis_of(request), state, settings_of(request).live_state_seconds)
    if run.export_retry_at:
        with broker_may_be_away(known_id):
            send_export(known_id)
    return Response(state.body, 202, media_type="application/json")


@runs.get("/runs/{run_id}/timeline", dependencies=[LIST])
def timeline(request: Request, account_id: AccountId, run_id: str) -> Timeline:
    """The whole history of a run, oldest event first."""
    known_id = run_id_of(run_id)
    with database_of(request).transaction() as session:
        if run_of_account(session, known_id, account_id) is None:
            raise UnknownRun.with_this_id()
        rows = events_of_run(session, known_id)
        return Timeline(events=[TimelineEvent.model_validate(row, from_attributes=True) for row in rows])


@runs.get("/runs/{run_id}/results", response_model=ResultsPage, dependencies=[LIST])
def results(
    request: Request,
    account_id: AccountId,
    run_id: str,
    after: Annotated[str, Query(pattern="^([0-9]{1,9})?$")] = "",
    status: Annotated[list[EmailStatus] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=RESULTS.most)] = RESULTS.most,
) -> Response:
    """The results so far, page by page in the order in which the contacts were sent, also while the run works."""
    known_id = run_id_of(run_id)
    with database_of(request).transaction() as session:
        run = run_of_account(session, known_id, account_id)
        if run is None:
            raise UnknownRun.with_this_id()
        page = read_page(session, run, int(after) if after else -1, status, limit)
    head = json.dumps({"status": run.status, "next": None if page.next is None else str(page.next)})
    return Response(f'{head[:-1]}, "results": {as_json(page.rows, run.extra_columns)}}}', media_type="application/json")


def _in_list(listed: ListedRun) -> RunInList:
    run = listed.run
    counts = run.preview.get("delivered_counts", {})
    return RunInList(
        run_id=run.id,
        status=run.status,
        preset=run.preset,
        percent=listed.percent,
        contacts=run.contact_count,
        delivered_contacts=counts.get("delivered_contacts"),
        verified_emails=counts.get("verified_emails"),
        created_at=run.created_at,
        finished_at=run.finished_at,
        retry_of=run.retry_of,
    )


def _accepted(created: CreatedRun) -> RunAccepted:
    """Send the chain of a new run. The chain of an earlier one has been sent already."""
    if created.is_new:
        with broker_may_be_away(created.run_id):
            send_chain(created.run_id, created.preset)
    return RunAccepted(run_id=created.run_id, preview=RunAcceptedPreview(pipeline_id=created.preset))


def _create(resources: Resources, body: bytes, account_id: UUID, idempotency_key: str | None) -> CreatedRun:
    settings = resources.settings
    ordered = parse_run_request(body, settings.max_contacts, knows_companies=settings.companies_file is not None)
    with resources.database.transaction() as session:
        return create_run(
            session,
            account_id,
            ordered.goal_plan,
            rate_card=RateCard.of(settings),
            idempotency_key=idempotency_key,
            quote_token=ordered.quote_token,
        )


def run_id_of(text: str) -> UUID:
    """The id in a path. Raises `UnknownRun` for what is none."""
    if not _UUID.fullmatch(text):
        raise UnknownRun.with_this_id()
    try:
        return UUID(text)
    except ValueError as error:
        raise UnknownRun.with_this_id() from error
