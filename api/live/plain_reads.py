"""Answers most reads of a state before the framework sees them: those of a known key and a known run.

What is out of the ordinary (a key or a run that nobody used lately, no live copy, one request too many, a parameter)
goes on to the route in `api.status`, which does all of it and gives the same answers.
"""

import re
from collections.abc import Mapping
from uuid import UUID

from starlette.datastructures import State
from starlette.types import Scope, Send

from api.errors import interrupted
from api.live import Live
from api.live.accounts import Accounts
from api.live.rate_limit import COUNTED, limit_headers
from api.live.redis_batches import Copy
from api.live.state_answers import etag_of, headers_of
from models.status import SubscriptionStatus

PATH = re.compile(r"/api/v1/growth/runs/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
BEARER = b"Bearer "

Found = tuple[Copy, list[tuple[bytes, bytes]]]


async def is_answered(state: State, scope: Scope, send: Send) -> bool:
    """Answer `GET /api/v1/growth/runs/{run_id}`. False for all else, and for what the route has to answer."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"]:
        return False
    path = PATH.fullmatch(scope["path"])
    given = dict(scope["headers"])
    try:
        found = await _read(state, scope, path[1], given) if path else None
    except Exception as error:  # noqa: BLE001 - the route answers, within all layers of the framework
        interrupted(scope, error)
        return False
    if not found:
        return False
    try:
        await _send(send, *found, given.get(b"if-none-match", b""))
    except Exception as error:  # noqa: BLE001 - there is no layer of the framework around this
        raise interrupted(scope, error) from None
    return True


async def _read(state: State, scope: Scope, run_id: str, given: Mapping[bytes, bytes]) -> Found | None:
    """The live copy and its headers, if nothing is out of the ordinary."""
    live: Live = state.live
    account_id = _paying_account(live.accounts, given.get(b"authorization", b""))
    run = live.states.known(account_id, run_id) if account_id else None
    if account_id is None or run is None:
        return None
    counted, copy = await live.batches.read(account_id, run.key)
    if counted is None:
        return None
    scope[COUNTED] = counted
    most = state.resources.settings.requests_per_minute
    if copy is None or copy.version < run.version or counted.number > most:
        return None
    run.saw(copy.version)
    return copy, headers_of(run.id, copy) + limit_headers(most, counted)


def _paying_account(accounts: Accounts, authorization: bytes) -> UUID | None:
    """The account of a key, if it is known well enough to ask nobody."""
    if not authorization.startswith(BEARER):
        return None
    account = accounts.fresh(authorization[len(BEARER) :].decode("latin-1"))
    return account.id if account and account.subscription_status == SubscriptionStatus.ACTIVE else None


async def _send(send: Send, copy: Copy, headers: list[tuple[bytes, bytes]], has: bytes) -> None:
    if etag_of(copy).encode() in has:
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    headers += (b"content-type", b"application/json"), (b"content-length", b"%d" % len(copy.body))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": copy.body})
