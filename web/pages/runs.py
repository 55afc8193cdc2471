"""The list of runs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from api.resources import database_of
from models.run import Run
from models.status import TERMINAL_RUN_STATUSES, RunStatus
from pipeline.credits import price_of
from pipeline.runs.listing import MOST_COUNTED, ListedRun, Place, Wanted, count_by_status, list_runs
from pipeline.uploads.receiving import names_of_uploads
from web.access import SignedIn
from web.frame import frame_of
from web.rendering import page
from web.slots import LIST
from web.views.formats import duration, moment
from web.views.words import PRESETS, SINCE

RUNS_ON_A_PAGE = 25

runs = APIRouter()


class RunRow(NamedTuple):
    """A run in the table."""

    id: UUID
    file: str
    status: str
    preset: str
    percent: int
    progress: str
    contacts: int
    found: int | None
    verified: int | None
    credits: int
    created_at: datetime


class Filters(NamedTuple):
    """What the list is narrowed to; nothing where empty."""

    status: str
    preset: str
    since: str

    @property
    def wanted(self) -> Wanted:
        since = datetime.now(UTC) - timedelta(days=int(self.since)) if self.since else None
        return Wanted(self.status or None, self.preset or None, since)

    def query(self, **changed: str) -> Mapping[str, str]:
        """The parameters of a link to the list with some filters changed."""
        return {name: value for name, value in (self._asdict() | changed).items() if value}


@runs.get("/runs", dependencies=[LIST])
def show(
    request: Request,
    member: SignedIn,
    status: str = "",
    preset: str = "",
    since: str = "",
    after: Annotated[str, Query(pattern="^([0-9]{1,17}-[0-9a-f]{32})?$")] = "",
) -> Response:
    """A page of the account's runs, newest first. Rows of runs that are active change by themselves."""
    filters = Filters(_one_of(status, RunStatus), _one_of(preset, PRESETS), _one_of(since, SINCE))
    place = Place.parse(after) if after else None
    with database_of(request).transaction() as session:
        frame = frame_of(session, member.account_id)
        counts = count_by_status(session, member.account_id)
        found = list_runs(session, member.account_id, filters.wanted, place, RUNS_ON_A_PAGE + 1)
        rows = rows_of(session, found[:RUNS_ON_A_PAGE])
    return page(
        request,
        "runs.html",
        frame=frame,
        here="runs",
        filters=filters,
        counts=counts,
        most_counted=MOST_COUNTED,
        rows=rows,
        active=[row.id for row in rows if row.status not in TERMINAL_RUN_STATUSES],
        is_first=place is None,
        older=str(found[RUNS_ON_A_PAGE - 1].place) if len(found) > RUNS_ON_A_PAGE else "",
    )


def rows_of(session: Session, listed: Sequence[ListedRun]) -> Sequence[RunRow]:
    """Runs as the table shows them."""
    names = names_of_uploads(session, {each.run.upload_id for each in listed})
    return [_row(each, names.get(each.run.upload_id, "") if each.run.upload_id else "") for each in listed]


def _row(listed: ListedRun, file: str) -> RunRow:
    run = listed.run
    counts, pricing = run.preview.get("delivered_counts", {}), run.preview.get("pricing", {})
    return RunRow(
        run.id,
        file,
        run.status,
        run.preset,
        listed.percent,
        _progress(run, listed.percent),
        run.contact_count,
        counts.get("delivered_contacts"),
        counts.get("verified_emails"),
        pricing.get("net_credits", price_of(run)),
        run.created_at,
    )


def _progress(run: Run, percent: int) -> str:
    if run.status == RunStatus.PENDING:
        return "Waits for a worker"
    if run.expired_at:
        day, _, _ = moment(run.expired_at).partition(",")
        return f"Data deleted on {day}"
    if run.status == RunStatus.COMPLETED and run.finished_at and run.started_at:
        return f"Took {duration((run.finished_at - run.started_at).total_seconds())}"
    return f"Stopped at {percent}%" if run.status in TERMINAL_RUN_STATUSES else ""


def _one_of(given: str, known: Sequence[str] | Mapping[str, str] | type[RunStatus]) -> str:
    """A filter that we know. Another one filters nothing, rather than showing an error."""
    return given if given in {str(each) for each in known} else ""
