"""Hooks: added on the account's page, each with a page of its own, which has the log of its deliveries.

What is changed is changed by the API's own routes: their rules, and their sentences.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, HTTPException, Query, Request, Response

from api import hooks as api_hooks
from api.hooks import delivery_id_of, hook_id_of
from api.resources import database_of
from api.runs import run_id_of
from models.hook import HookEvent, MessageState
from pipeline.errors import InvalidInput, UnknownRun
from pipeline.hooks.overview import glance_at, log_page
from web.access import Member, SignedIn
from web.forms import Form
from web.frame import frame_of
from web.pages.account import Remark, account_page
from web.rendering import go_to, page
from web.slots import CHANGE, LIST
from web.views.hooks import OVERLAPS, HookFields, fields_of, view_of_delivery, view_of_hook

DELIVERIES_ON_A_PAGE = 25
SHOWN_STATES = (MessageState.PENDING, MessageState.DELIVERED, MessageState.DEAD)

hooks = APIRouter()


@hooks.post("/account/hooks", dependencies=[CHANGE])
def add(request: Request, member: SignedIn, form: Form) -> Response:
    """Add a hook. This answer is the only one that shows its secret."""
    given = _fields_of(form)
    try:
        added = api_hooks.add(request, Response(), member.account_id, _body_of(given))
    except InvalidInput as problem:
        return account_page(request, member, remark=_refusal("Nothing was added", problem), given=given)
    return account_page(request, member, new_hook=added)


@hooks.get("/account/hooks/{hook_id}", dependencies=[LIST])
def show(
    request: Request,
    member: SignedIn,
    hook_id: str,
    state: str = "",
    run_id: str = "",
    after: Annotated[str, Query(pattern="^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$")] = "",
) -> Response:
    """A hook, and the log of its deliveries."""
    picked = {
        "state": state if state in SHOWN_STATES else "",
        "run_id": run_id_of(run_id) if run_id else None,
        "after": after,
    }
    return _page(request, member, hook_id, picked)


@hooks.post("/account/hooks/{hook_id}", dependencies=[CHANGE])
def change(request: Request, member: SignedIn, hook_id: str, form: Form) -> Response:
    """Change where a hook leads, and what it is notified of."""
    given = _fields_of(form)
    try:
        api_hooks.change(request, member.account_id, hook_id, _body_of(given))
    except InvalidInput as problem:
        return _page(request, member, hook_id, remark=_refusal("Nothing was changed", problem), given=given)
    return _to_hook(request, hook_id)


@hooks.post("/account/hooks/{hook_id}/enable", dependencies=[CHANGE])
def enable(request: Request, member: SignedIn, hook_id: str) -> Response:
    """Deliver again, beginning with what is left."""
    api_hooks.change(request, member.account_id, hook_id, b'{"enabled": true}')
    return _to_hook(request, hook_id)


@hooks.post("/account/hooks/{hook_id}/disable", dependencies=[CHANGE])
def disable(request: Request, member: SignedIn, hook_id: str) -> Response:
    """Deliver nothing until the hook is enabled."""
    api_hooks.change(request, member.account_id, hook_id, b'{"enabled": false}')
    return _to_hook(request, hook_id)


@hooks.post("/account/hooks/{hook_id}/rotate", dependencies=[CHANGE])
def rotate(request: Request, member: SignedIn, hook_id: str, form: Form) -> Response:
    """Give a hook a new secret. This answer is the only one that shows it."""
    overlap = form.get("overlap", "24")
    if overlap not in OVERLAPS:
        raise HTTPException(422, "There is no such choice: take one of those on the page of the hook.")
    body = json.dumps({"overlap_hours": int(overlap)}).encode()
    secret = api_hooks.rotate(request, Response(), member.account_id, hook_id, body).secret
    return _page(request, member, hook_id, secret=secret)


@hooks.post("/account/hooks/{hook_id}/delete", dependencies=[CHANGE])
def delete(request: Request, member: SignedIn, hook_id: str) -> Response:
    """Delete a hook with its log."""
    api_hooks.delete(request, member.account_id, hook_id)
    return go_to(request, "/account", fragment="hooks")


@hooks.post("/account/hooks/{hook_id}/replay", dependencies=[CHANGE])
def replay_dead(request: Request, member: SignedIn, hook_id: str, form: Form) -> Response:
    """Make dead deliveries again: all of the hook, or those of the run on whose page the button is."""
    run_id = _run_of(form)
    body = json.dumps({"run_id": str(run_id) if run_id else None}).encode()
    api_hooks.replay_dead(request, member.account_id, hook_id, body)
    return _back(request, hook_id, run_id)


@hooks.post("/account/hooks/{hook_id}/deliveries/{delivery_id}/replay", dependencies=[CHANGE])
def replay(request: Request, member: SignedIn, hook_id: str, delivery_id: str, form: Form) -> Response:
    """Make a delivery again."""
    run_id = _run_of(form)
    api_hooks.replay(request, member.account_id, hook_id, delivery_id)
    return _back(request, hook_id, run_id)


def _page(
    request: Request, member: Member, hook_id: str, picked: Mapping[str, Any] | None = None, **more: Any
) -> Response:
    known_id, chosen = hook_id_of(hook_id), picked or {"state": "", "run_id": None, "after": ""}
    with database_of(request).transaction() as session:
        glance = glance_at(session, member.account_id, known_id)
        found = log_page(
            session,
            member.account_id,
            known_id,
            DELIVERIES_ON_A_PAGE,
            states=[MessageState(chosen["state"])] if chosen["state"] else (),
            run_id=chosen["run_id"],
            after=delivery_id_of(chosen["after"]) if chosen["after"] else None,
        )
        hook = glance.hook
        values = {
            "frame": frame_of(session, member.account_id),
            "shown": view_of_hook(glance),
            "deliveries": [view_of_delivery(hook, each, found.due.get(each.run_id)) for each in found.messages],
            "older": found.next,
            "given": fields_of(hook),
        }
    defaults = {"picked": chosen, "states": SHOWN_STATES, "remark": None, "secret": ""}
    return page(request, "hook.html", here="account", **defaults | values | more)


def _fields_of(form: Mapping[str, str]) -> HookFields:
    """What a form says. Each event has a box of its own."""
    events = tuple(event.value for event in HookEvent if event.value in form)
    return HookFields(form.get("url", ""), form.get("description", ""), events, form.get("runs", "all"))


def _body_of(given: HookFields) -> bytes:
    """The body of the API's request."""
    if not given.events:
        raise InvalidInput("field events: choose what the hook is notified of")
    return json.dumps(given._asdict()).encode()


def _refusal(what: str, problem: InvalidInput) -> Remark:
    return Remark("hook", is_error=True, text=f"{what}: {str(problem).removeprefix('field ').rstrip('.')}.")


def _run_of(form: Mapping[str, str]) -> UUID | None:
    """The run on whose page a button was."""
    text = form.get("run_id", "")
    try:
        return run_id_of(text) if text else None
    except UnknownRun:
        raise HTTPException(422, "There is no such run: reload the page, and try again.") from None


def _back(request: Request, hook_id: str, run_id: UUID | None) -> Response:
    return go_to(request, f"/runs/{run_id}", fragment="hooks") if run_id else _to_hook(request, hook_id)


def _to_hook(request: Request, hook_id: str) -> Response:
    return go_to(request, f"/account/hooks/{hook_id_of(hook_id)}")
