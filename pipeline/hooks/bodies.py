"""The bodies of messages, made when they are delivered: the outbox holds no personal data, and erased people are gone.

`data` of a run's event is what `GET /api/v1/growth/runs/{run_id}` answers; that of finished contacts has the rows of
`GET /api/v1/growth/runs/{run_id}/results`.
"""

import json
from collections.abc import Sequence

from sqlalchemy.orm import Session

from models.hook import HookEvent, HookMessage
from models.queries import results_at
from models.run import Run
from models.status import TERMINAL_RUN_STATUSES
from pipeline.results.links import Links
from pipeline.results.pages import as_json
from pipeline.runs import live_state
from pipeline.stages import address_stages


def body_of(session: Session, message: HookMessage, links: Links) -> str | None:
    """The message as JSON; None if there is nothing left to deliver."""
    run = session.get(Run, message.run_id, populate_existing=True)
    if run is None:
        return None
    data = _data(session, run, message, links)
    if data is None:
        return None
    head = json.dumps({"type": message.event, "timestamp": message.created_at.isoformat()})
    return f'{head[:-1]}, "data": {data}}}'


def _data(session: Session, run: Run, message: HookMessage, links: Links) -> str | None:
    if message.event == HookEvent.CONTACTS:
        return _contacts(session, run, message.positions)
    if message.event == HookEvent.PROGRESS and run.status in TERMINAL_RUN_STATUSES:
        # The message about its end follows.
        return None
    return live_state.build(session, run, links).body


def _contacts(session: Session, run: Run, positions: Sequence[int]) -> str | None:
    if run.retracted_at:
        return None
    rows = results_at(session, run.id, positions, *address_stages(run.preset))
    return f'{{"run_id": "{run.id}", "contacts": {as_json(rows, run.extra_columns)}}}' if rows else None
