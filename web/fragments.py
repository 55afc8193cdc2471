"""The parts of a run's page that change while the run is active."""

from collections.abc import Mapping
from uuid import UUID

from fastapi import Request

from api.resources import database_of
from models.queries import run_of_account, workers_of_run
from pipeline.errors import UnknownRun
from web.rendering import html
from web.views.events import timeline_of
from web.views.memory import Memory
from web.views.progress import progress_of
from web.views.results import ROWS_ON_A_PAGE, Counts, counts_of, price_if_stopped
from web.views.speed import speed_of


def fragments_of_run(request: Request, account_id: UUID, run_id: UUID, *, with_timeline: bool) -> Mapping[str, str]:
    """Ready HTML by the name of its event; none for a run that has ended meanwhile. Raises `UnknownRun`.

    Finding the steps in the timeline of a large run means reading the events of its chunks, too: ask for it when one is
    new.
    """
    memory = memory_of(request)
    with database_of(request).transaction() as session:
        run = run_of_account(session, run_id, account_id)
        if run is None:
            raise UnknownRun.with_this_id()
        if run.finished_at is not None:
            return {}
        groups = memory.groups_of(session, run)
        counts = counts_of(run, groups)
        progress = progress_of(session, run, memory)
        values = {
            "run": run,
            "progress": progress,
            "counts": counts,
            "price": price_if_stopped(run, groups),
            "speed": speed_of(session, run, memory),
            "workers": workers_of_run(session, run.id),
            "timeline": timeline_of(session, run.id) if with_timeline else (),
        }
    names = (*PARTS, "timeline") if with_timeline else PARTS
    parts = {name: html(request, f"run_{name}.html", **values) for name in names}
    return {**parts, **news_of_contacts(counts)}


def news_of_contacts(counts: Counts) -> Mapping[str, str]:
    """Tells the page that there are contacts to list, and once more when they fill it. It asks for them itself."""
    if not counts.worked:
        return {}
    fills = counts.worked >= min(counts.contacts, ROWS_ON_A_PAGE)
    return {"results": "a page" if fills else "the first"}


PARTS = ("progress", "stages", "counts", "speed", "price", "state")
"""The last one stands outside of the others, in the head of the page and its title."""


def memory_of(request: Request) -> Memory:
    """What this process remembers of runs that are looked at."""
    memory: Memory = request.app.state.web_memory
    return memory
