"""Routes for hooks: where an account is notified, the log of deliveries, and replays."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from api.access import AccountId
from api.bodies import Body, parse_short
from api.document.openapi import body_of
from api.resources import database_of, settings_of
from api.runs import ERRORS, run_id_of
from api.slots import CHANGE, LIST
from models.bounds import DELIVERIES, REPLAYS
from models.hook import Hook, HookEvent, HookMessage, MessageState
from models.hook_wire import (
    DeliveriesPage,
    Delivery,
    HookChange,
    HookRequest,
    Hooks,
    HookShown,
    HookWithSecret,
    Replayed,
    ReplayRequest,
    RotationRequest,
    StateName,
)
from pipeline.errors import UnknownHook, UnknownRun
from pipeline.hooks import endpoints, log
from pipeline.hooks.secrets import written
from pipeline.hooks.urls import usable_url

hooks = APIRouter(prefix="/api/v1/growth/hooks", responses=ERRORS)  # type: ignore[arg-type]


@hooks.post("", status_code=201, dependencies=[CHANGE], openapi_extra=body_of(HookRequest))
def add(request: Request, response: Response, account_id: AccountId, body: Body) -> HookWithSecret:
    """Add a hook. The answer shows its secret, this once."""
    given = parse_short(HookRequest, body)
    url = usable_url(given.url, allow_private=settings_of(request).hook_allow_private)
    events = [HookEvent(event) for event in given.events]
    with database_of(request).transaction() as session:
        every_run, description = given.runs == "all", given.description
        hook = endpoints.add_hook(session, account_id, url, events, every_run=every_run, description=description)
    return _with_secret(response, hook)


@hooks.get("", dependencies=[LIST])
def list_all(request: Request, account_id: AccountId) -> Hooks:
    """The hooks of the account, oldest first."""
    with database_of(request).transaction() as session:
        return Hooks(hooks=[HookShown(**_shown(hook)) for hook in endpoints.list_hooks(session, account_id)])


@hooks.get("/{hook_id}", dependencies=[LIST])
def show(request: Request, account_id: AccountId, hook_id: str) -> HookShown:
    """A hook, without its secret."""
    with database_of(request).transaction() as session:
        return HookShown(**_shown(endpoints.hook_of_account(session, account_id, hook_id_of(hook_id))))


@hooks.patch("/{hook_id}", dependencies=[CHANGE], openapi_extra=body_of(HookChange))
def change(request: Request, account_id: AccountId, hook_id: str, body: Body) -> HookShown:
    """Change a hook, or enable one that was disabled. What is not given, or null, stays."""
    known_id, given = hook_id_of(hook_id), parse_short(HookChange, body).model_dump(exclude_none=True)
    if "url" in given:
        given["url"] = usable_url(given["url"], allow_private=settings_of(request).hook_allow_private)
    if "runs" in given:
        given["every_run"] = given.pop("runs") == "all"
    with database_of(request).transaction() as session:
        return HookShown(**_shown(endpoints.change_hook(session, account_id, known_id, given)))


@hooks.delete("/{hook_id}", status_code=204, dependencies=[CHANGE])
def delete(request: Request, account_id: AccountId, hook_id: str) -> None:
    """Delete a hook, its log, and what is still to be delivered to it."""
    with database_of(request).transaction() as session:
        endpoints.delete_hook(session, account_id, hook_id_of(hook_id))


@hooks.post("/{hook_id}/rotate", dependencies=[CHANGE], openapi_extra=body_of(RotationRequest))
def rotate(request: Request, response: Response, account_id: AccountId, hook_id: str, body: Body) -> HookWithSecret:
    """Give a hook a new secret, shown this once. The present one signs as well for some hours."""
    known_id, given = hook_id_of(hook_id), parse_short(RotationRequest, body)
    with database_of(request).transaction() as session:
        hook = endpoints.rotate_secret(session, account_id, known_id, given.overlap_hours)
    return _with_secret(response, hook)


@hooks.get("/{hook_id}/deliveries", dependencies=[LIST])
def deliveries(
    request: Request,
    account_id: AccountId,
    hook_id: str,
    state: Annotated[list[StateName] | None, Query()] = None,
    run_id: Annotated[UUID | None, Query()] = None,
    after: Annotated[str, Query(pattern="^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?$")] = "",
    limit: Annotated[int, Query(ge=1, le=DELIVERIES.most)] = 100,
) -> DeliveriesPage:
    """The deliveries to a hook, newest first, page by page."""
    known_id = hook_id_of(hook_id)
    states = [MessageState(name) for name in state or ()]
    with database_of(request).transaction() as session:
        last = UUID(after) if after else None
        found = log.deliveries(session, account_id, known_id, limit, states=states, run_id=run_id, after=last)
        shown = [_delivery(message) for message in found]
    return DeliveriesPage(deliveries=shown, next=str(shown[-1].delivery_id) if len(shown) == limit else None)


@hooks.post("/{hook_id}/deliveries/{delivery_id}/replay", status_code=202, dependencies=[CHANGE])
def replay(request: Request, account_id: AccountId, hook_id: str, delivery_id: str) -> Replayed:
    """Make a delivery again, with the same `webhook-id`, after what is pending of its run."""
    with database_of(request).transaction() as session:
        log.replay(session, account_id, hook_id_of(hook_id), delivery_id_of(delivery_id))
    return Replayed(replayed=1, more=False)


@hooks.post("/{hook_id}/replay", status_code=202, dependencies=[CHANGE], openapi_extra=body_of(ReplayRequest))
def replay_dead(request: Request, account_id: AccountId, hook_id: str, body: Body) -> Replayed:
    """Make dead deliveries again, the oldest first, at most a thousand."""
    known_id, given = hook_id_of(hook_id), parse_short(ReplayRequest, body)
    with database_of(request).transaction() as session:
        count = log.replay_dead(session, account_id, known_id, REPLAYS.most, given.run_id)
    return Replayed(replayed=count, more=count == REPLAYS.most)


def hook_id_of(text: str) -> UUID:
    """The id in a path. Raises `UnknownHook` for what is none."""
    try:
        return run_id_of(text)
    except UnknownRun:
        raise UnknownHook.with_this_id() from None


def delivery_id_of(text: str) -> UUID:
    """The id of a delivery in a path. Raises `UnknownHook` for what is none."""
    try:
        return run_id_of(text)
    except UnknownRun:
        raise UnknownHook(log.NO_DELIVERY) from None


def _with_secret(response: Response, hook: Hook) -> HookWithSecret:
    response.headers["Cache-Control"] = "no-store"
    return HookWithSecret(**_shown(hook), secret=written(hook.secret))


def _shown(hook: Hook) -> dict[str, Any]:
    return {
        "hook_id": hook.id,
        "url": hook.url,
        "events": hook.events,
        "runs": "all" if hook.every_run else "named",
        "description": hook.description,
        "enabled": hook.enabled,
        "disabled_reason": hook.disabled_reason,
        "failing_since": hook.failing_since,
        "created_at": hook.created_at,
    }


def _delivery(message: HookMessage) -> Delivery:
    return Delivery.model_validate(
        {
            "delivery_id": message.id,
            "webhook_id": message.webhook_id,
            "run_id": message.run_id,
            "event": message.event,
            "contacts": len(message.positions),
            "state": message.state,
            "attempts": message.attempts,
            "log": message.attempt_log,
            "created_at": message.created_at,
            "finished_at": message.finished_at,
        }
    )
