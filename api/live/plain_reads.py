"""Answers most reads of a state before the framework sees them: those of a known key and a known run.

What is out of the ordinary (a key or a run that nobody used lately, no live copy, one request too many, a parameter)
goes on to the route in `api.status`, which does all of it and gives the same answers.
"""

import re
from collections.abc import Mapping
from uuid import UUID

import redis
from starlette.types import ASGIApp, Receive, Scope, Send

from api.live import Live
from api.live.rate_limit import COUNTED, limit_headers
from api.live.redis_batches import Copy
from api.live.state_answers import headers_of
from models.status import SubscriptionStatus

PATH = re.compile(r"/api/v1/growth/runs/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
BEARER = b"Bearer "


class PlainReads:
    """Middleware for `GET /api/v1/growth/runs/{run_id}`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or call the application."""
        if scope["type"] == "http" and scope["method"] == "GET" and not scope["query_string"]:
            path = PATH.fullmatch(scope["path"])
            if path and await _is_answered(scope, UUID(path[1]), send):
                return
        await self._app(scope, receive, send)


async def _is_answered(scope: Scope, run_id: UUID, send: Send) -> bool:
    live: Live = scope["app"].state.live
    given = dict(scope["headers"])
    key = given.get(b"authorization", b"")
    account = live.accounts.fresh(key[len(BEARER) :].decode("latin-1")) if key.startswith(BEARER) else None
    if account is None or account.subscription_status != SubscriptionStatus.ACTIVE:
        return False
    floor = live.states.floor_of(account.id, run_id)
    copy = await _counted_copy(live, scope, account.id, run_id) if floor is not None else None
    most = scope["app"].state.resources.settings.requests_per_minute
    if copy is None or copy.version < (floor or 0) or scope[COUNTED].number > most:
        return False
    live.states.saw(account.id, run_id, copy.version)
    headers = {**headers_of(run_id, copy), **limit_headers(most, scope[COUNTED])}
    await _send(send, copy, headers, given.get(b"if-none-match", b"").decode("latin-1"))
    return True


async def _counted_copy(live: Live, scope: Scope, account_id: UUID, run_id: UUID) -> Copy | None:
    """Count the request and read the live copy in one round trip; None if Redis gives none."""
    counting, reading = live.batches.count(account_id), live.batches.copy_of(account_id, run_id)
    try:
        scope[COUNTED] = await counting
        return await reading
    except redis.RedisError:
        # Both are answered at once. The route says what is wrong, and reads Postgres.
        reading.exception()
        return None


async def _send(send: Send, copy: Copy, headers: Mapping[str, str], has: str) -> None:
    is_new = headers["ETag"] not in has
    body = copy.body if is_new else b""
    described = {"Content-Type": "application/json", "Content-Length": str(len(body))} if is_new else {}
    raw = [(name.lower().encode(), value.encode()) for name, value in (described | dict(headers)).items()]
    await send({"type": "http.response.start", "status": 200 if is_new else 304, "headers": raw})
    await send({"type": "http.response.body", "body": body})
