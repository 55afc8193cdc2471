"""Erasing people over HTTP."""

from dataclasses import asdict
from uuid import UUID

from fastapi import APIRouter, Request

from api.access import AccountId
from api.apart import Resources, work_apart
from api.bodies import Body, Turn, parse_erasure
from api.document import body_of
from api.runs import ERRORS
from models.privacy_wire import ErasureDone, ErasureRequest
from models.run import Run
from pipeline.privacy.erase_people import erase_people
from pipeline.runs import live_state
from worker.dispatch import broker_may_be_away, send_export

erasures = APIRouter(prefix="/api/v1/growth", responses=ERRORS)  # type: ignore[arg-type]


@erasures.post(
    "/erasures",
    dependencies=[Turn],
    openapi_extra=body_of(ErasureRequest),
)
def erase(request: Request, account_id: AccountId, body: Body) -> ErasureDone:
    """Erase people. If it is interrupted, send it again: what is already gone is not counted again."""
    # However short the list of people is, all contacts of the account are read.
    return work_apart(request, body, _erase, account_id)


def _erase(resources: Resources, body: bytes, account_id: UUID) -> ErasureDone:
    order = parse_erasure(body)

    def update_run(run_id: UUID) -> None:
        """Show the change to readers, and have export files written again."""
        with resources.database.transaction() as session:
            state = live_state.build(session, session.get_one(Run, run_id), resources.settings.public_url)
        live_state.publish(resources.redis, state, resources.settings.live_state_seconds)
        if state.finished:
            with broker_may_be_away(run_id):
                send_export(run_id)

    erased = erase_people(resources.database, account_id, order.people, suppress=order.suppress, on_change=update_run)
    return ErasureDone(**asdict(erased))
