"""The page of a run, and what can be done with it."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple, cast

from fastapi import APIRouter, HTTPException, Query, Request, Response
from sqlalchemy.orm import Session

from api import runs as api_runs
from api.resources import database_of, settings_of
from api.runs import run_id_of
from models.queries import (
    ResultRow,
    artifacts_of_run,
    retry_of_run,
    run_of_account,
    stages_of_run,
    workers_of_run,
)
from models.run import Run
from models.status import TERMINAL_RUN_STATUSES, RunStatus
from models.wire import ExportFormat
from pipeline.errors import UnknownRun
from pipeline.hooks.overview import deliveries_of_run, hooks_of_run
from pipeline.outcomes import Reason
from pipeline.results.counts import count_by_provider
from pipeline.results.formats import FORMATS
from pipeline.results.links import Links
from pipeline.results.pages import read_page
from pipeline.results.xlsx import MOST_ROWS
from pipeline.uploads.receiving import names_of_uploads
from web.access import SignedIn
from web.forms import Form
from web.fragments import memory_of
from web.frame import frame_of
from web.rendering import go_to, page
from web.slots import CANCEL, CHANGE, LIST
from web.views.charts import funnel_of, mix_of
from web.views.events import timeline_of
from web.views.hooks import host_of, views_of_run
from web.views.progress import progress_of
from web.views.results import (
    ROWS_ON_A_PAGE,
    VERDICTS,
    contacts_to_retry,
    counts_of,
    counts_of_compiled,
    folded,
    gaps_in,
    price_if_stopped,
    price_of_ended,
    without_needless,
)
from web.views.speed import speed_of
from web.views.verdicts import by_provider
from web.views.words import FILES

SEARCH_S = 1.0
"""How long contacts are searched for a page of them: few of a large run may match."""
CHARTS_AT_ONCE = 20_000
"""Counting the outcomes of so many contacts takes a moment. The charts of a larger run come after its page."""
FILTERED = (*VERDICTS, "not_found")

run = APIRouter()


class Found(NamedTuple):
    """Contacts on the page, and after which row the next page begins; None at the end."""

    rows: Sequence[ResultRow]
    next: int | None

    @property
    def is_short(self) -> bool:
        """Whether the page has room for more of them."""
        return len(self.rows) < ROWS_ON_A_PAGE


@run.get("/runs/{run_id}", dependencies=[LIST])
def show(
    request: Request,
    member: SignedIn,
    run_id: str,
    verdict: str = "",
    reason: str = "",
    timeline: str = "",
    after: Annotated[str, Query(pattern="^([0-9]{1,9})?$")] = "",
) -> Response:
    """A run: its progress while it is active, what came of it afterwards."""
    known_id = run_id_of(run_id)
    picked = {
        "verdict": verdict if verdict in FILTERED else "",
        "reason": reason if reason in set(Reason) else "",
        "after": after,
        "with_chunks": timeline == "all",
    }
    with database_of(request).transaction() as session:
        run = run_of_account(session, known_id, member.account_id)
        if run is None:
            raise UnknownRun.with_this_id()
        values: dict[str, Any] = {
            "frame": frame_of(session, member.account_id),
            "here": "runs",
            "run": run,
            "picked": picked,
            "timeline": timeline_of(session, run.id, with_chunks=timeline == "all"),
            "found": _found(session, run, picked),
            "read_at": datetime.now(UTC),
            "file_name": names_of_uploads(session, [run.upload_id]).get(run.upload_id, "") if run.upload_id else "",
        }
        if run.status in TERMINAL_RUN_STATUSES:
            return page(request, "run_ended.html", **values, **_ended(request, session, run))
        return page(request, "run_active.html", **values, **_active(request, session, run))


@run.post("/runs/{run_id}/cancel", dependencies=[CANCEL])
def cancel(request: Request, member: SignedIn, run_id: str) -> Response:
    """Cancel the run, as the API does."""
    api_runs.cancel(request, member.account_id, run_id)
    return go_to(request, f"/runs/{run_id_of(run_id)}")


@run.post("/runs/{run_id}/retry", dependencies=[CHANGE])
def retry(request: Request, member: SignedIn, run_id: str) -> Response:
    """Retry the run, as the API does, and show the new one."""
    accepted = api_runs.retry(request, member.account_id, run_id)
    return go_to(request, f"/runs/{accepted.run_id}")


@run.get("/runs/{run_id}/charts", dependencies=[LIST])
def charts(request: Request, member: SignedIn, run_id: str) -> Response:
    """The charts of a large run that has ended, which come after its page: all of its outcomes are counted."""
    with database_of(request).transaction() as session:
        run = run_of_account(session, run_id_of(run_id), member.account_id)
        if run is None:
            raise UnknownRun.with_this_id()
        return page(request, "run_charts.html", run=run, charts=_charts(request, session, run))


@run.post("/runs/{run_id}/exports", dependencies=[CHANGE])
def add_export(request: Request, member: SignedIn, run_id: str, form: Form) -> Response:
    """Have a file made in one more format, as the API does."""
    wanted = form.get("format", "")
    if wanted not in FORMATS:
        raise HTTPException(422, "There is no such format: choose one of those on the page of the run.")
    api_runs.add_exports(request, member.account_id, run_id, [cast("ExportFormat", wanted)])
    return go_to(request, f"/runs/{run_id_of(run_id)}", fragment="downloads")


def _active(request: Request, session: Session, run: Run) -> Mapping[str, Any]:
    memory = memory_of(request)
    groups = memory.groups_of(session, run)
    return {
        "progress": progress_of(session, run, memory),
        "counts": counts_of(run, groups),
        "price": price_if_stopped(run, groups),
        "speed": speed_of(session, run, memory),
        "workers": workers_of_run(session, run.id),
        "hooks": [(hook, host_of(hook.url)) for hook in hooks_of_run(session, run.account_id, run.id)],
    }


def _ended(request: Request, session: Session, run: Run) -> Mapping[str, Any]:
    counts, mix = counts_of_compiled(run), run.data_source_mix.get("by_source", {})
    can_be_retried = run.status in (RunStatus.FAILED, RunStatus.CANCELLED) and not run.retracted_at
    retried_as = retry_of_run(session, run.id)
    to_retry = 0
    if can_be_retried and not retried_as:
        to_retry = contacts_to_retry(run, memory_of(request).groups_of(session, run))
    return {
        "counts": counts,
        "stages": stages_of_run(session, run.id),
        "price": price_of_ended(session, run),
        "funnel": funnel_of(counts),
        "mix": mix_of(mix),
        "gaps": folded(gaps_in(run.gap_report.get("reasons", {}))),
        "unverified": folded(gaps_in(run.gap_report.get("unverified_reasons", {}))),
        "charts": _charts(request, session, run) if run.contact_count <= CHARTS_AT_ONCE else None,
        "further_formats": _further_formats(run),
        "files": _files(request, session, run),
        "files_until": Links.of(settings_of(request)).end_of(run.finished_at) if run.finished_at else None,
        "can_be_retried": can_be_retried,
        "retried_as": retried_as,
        "to_retry": to_retry,
        "deliveries": views_of_run(deliveries_of_run(session, run.account_id, run.id)),
    }


def _charts(request: Request, session: Session, run: Run) -> Mapping[str, Any]:
    """What needs a look at all outcomes of a run."""
    memory = memory_of(request)
    found = memory.counted_of(run, "providers", lambda: count_by_provider(session, run))
    return {"speed": speed_of(session, run, memory), "providers": by_provider(found)}


def _further_formats(run: Run) -> Sequence[tuple[str, str]]:
    """The formats that a file can still be made in, with their names."""
    if run.retracted_at:
        return []
    return [
        (name, spec.label)
        for name, spec in FORMATS.items()
        if name not in run.export_formats and not (name == "xlsx" and run.contact_count > MOST_ROWS)
    ]


class FileView(NamedTuple):
    """A file to download, by a link that needs no key."""

    label: str
    mime_type: str
    rows: int
    bytes: int
    sha256: str
    path: str


def _files(request: Request, session: Session, run: Run) -> Sequence[FileView]:
    if run.retracted_at:
        return []
    links = Links(hours=settings_of(request).download_url_hours)
    return [
        FileView(
            FILES.get(file.asset_id, file.label),
            file.mime_type or "",
            file.rows,
            file.bytes or 0,
            file.sha256 or "",
            links.to(file),
        )
        for file in without_needless(artifacts_of_run(session, run.id))
    ]


def _found(session: Session, run: Run, picked: Mapping[str, Any]) -> Found:
    """The contacts that are picked, searched for a while."""
    if run.retracted_at:
        return Found([], None)
    after: int | None = int(picked["after"]) if picked["after"] else -1
    statuses = [picked["verdict"]] if picked["verdict"] else None
    rows: list[ResultRow] = []
    until = time.monotonic() + SEARCH_S
    while after is not None and len(rows) < ROWS_ON_A_PAGE and (not rows or time.monotonic() < until):
        part = read_page(session, run, after, statuses, ROWS_ON_A_PAGE - len(rows), reason=picked["reason"] or None)
        rows += part.rows
        after = part.next
        if time.monotonic() > until:
            break
    return Found(rows, after)
