"""The route for erasures."""

from dataclasses import asdict
from uuid import UUID

from fastapi import APIRouter, Request

from api.access import AccountId
from api.bodies import Body, parse_erasure
from api.document.openapi import body_of
from api.process_pool import run_in_process
from api.resources import Resources
from api.runs import ERRORS
from api.slots import CHANGE
from models.privacy_wire import ErasureDone, ErasureRequest
from models.run import Run
from pipeline.privacy.erase_people import erase_people
from pipeline.results.links import Links
from pipeline.runs import live_state
from worker.dispatch import broker_may_be_away, send_export

erasures = APIRouter(prefix="/api/v1/growth", responses=ERRORS)  # type: ignore[arg-type]


@erasures.post(
    "/erasures",
    dependencies=[CHANGE],
    openapi_extra=body_of(ErasureRequest),
)
def erase(request: Request, account_id: AccountId, body: Body) -> ErasureDone:
    """Erase people. If it is interrupted, send it again: what is already gone is not counted again."""
    # In a worker process whatever its size: all contacts of the account are read.
    return run_in_process(request, body, _erase, account_id)


def _erase(resources: Resources, body: bytes, account_id: UUID) -> ErasureDone:
    order = parse_erasure(body)

    def update_run(run_id: UUID) -> None:
        """Show the change to readers, and have export files written again."""
        with resources.database.transaction() as session:
            state = live_state.build(session, session.get_one(Run, run_id), Links.of(resources.settings))
        live_state.publish(resources.redis, state, resources.settings.live_state_seconds)
        if state.finished:
            with broker_may_be_away(run_id):
                send_export(run_id)

    erased = erase_people(resources.database, account_id, order.people, suppress=order.suppress, on_change=update_run)
    return ErasureDone(**asdict(erased))
