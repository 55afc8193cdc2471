"""The operator's page: the runs of all accounts, workers, the backlog, and hosts that refuse us."""

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from api.resources import database_of, settings_of
from web.access import Operator
from web.frame import frame_of
from web.rendering import html, page
from web.slots import LIST
from web.views.operations import Operations

PARTS = ("load", "runs", "workers", "hosts")

operator = APIRouter()


@operator.get("/operator", dependencies=[LIST])
def show(request: Request, member: Operator) -> Response:
    """The engine's work, for an account with the operator's role."""
    view = operations_of(request).look()
    with database_of(request).transaction() as session:
        frame = frame_of(session, member.account_id)
    flower = settings_of(request).flower_url
    return page(request, "operator.html", here="operator", frame=frame, view=view, flower=flower)


def parts_of(request: Request) -> Mapping[str, str]:
    """Ready HTML of the parts that change, by the names of their events."""
    view = operations_of(request).look()
    return {name: html(request, f"operator_{name}.html", view=view) for name in PARTS}


def operations_of(request: Request) -> Operations:
    """What this process has seen of the engine's work."""
    found: Operations = request.app.state.web_operations
    return found
