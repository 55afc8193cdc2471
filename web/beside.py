"""The page as an application of its own inside that of the API: it gets what no route of the API takes."""

from datetime import UTC, datetime

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import AnswerFaults
from web.assets import assets
from web.faults import FaultPage, add_fault_pages
from web.pages.account import account
from web.pages.hooks import hooks
from web.pages.new_run import new_run
from web.pages.operator import operator
from web.pages.run import run
from web.pages.runs import runs
from web.pages.sign_in import sign_in_and_out
from web.pages.streams import streams
from web.pages.uploads import uploads
from web.security import Guarded
from web.views.memory import new_memory
from web.views.operations import Operations

NOT_OURS = "/api/"
"""What the API does not know under this path is answered by the API."""


def add_pages(app: FastAPI) -> None:
    """Add the page to the API's application, whose resources it shares."""
    pages = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    pages.state = app.state
    pages.state.web_memory = memory = new_memory()
    pages.state.web_operations = Operations(app.state.resources.database, memory, lambda: datetime.now(UTC))
    for router in (assets, sign_in_and_out, streams, runs, run, new_run, uploads, account, hooks, operator):
        pages.include_router(router)
    add_fault_pages(pages)
    pages.add_middleware(AnswerFaults, faulty=FaultPage(pages))
    pages.add_middleware(Guarded)
    app.router.default = _Beside(app.router.default, pages)


class _Beside:
    """Sends a request that no route of the API takes to the page."""

    def __init__(self, api: ASGIApp, pages: ASGIApp) -> None:
        self._api, self._pages = api, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] == "http" and not scope["path"].startswith(NOT_OURS)
        await (self._pages if is_ours else self._api)(scope, receive, send)
