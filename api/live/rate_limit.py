"""Counts requests, and says in each answer how many are left (draft-ietf-httpapi-ratelimit-headers)."""

import logging
from uuid import UUID

import redis
from fastapi import HTTPException, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.live import live_of
from api.live.redis_batches import SECONDS, Counted
from api.resources import settings_of

COUNTED = "growth.counted"
"""Where a request's scope has its number, once it is counted."""
HEADERS = "growth.limit_headers"

log = logging.getLogger(__name__)


def limit_headers(most: int, counted: Counted) -> list[tuple[bytes, bytes]]:
    """How many requests an account has in a minute, and how many are left."""
    return [
        (b"ratelimit-policy", b'"requests";q=%d;w=%d' % (most, SECONDS)),
        (b"ratelimit", b'"requests";r=%d;t=%d' % (max(0, most - counted.number), max(1, counted.left))),
    ]


async def count_request(request: Request, account_id: UUID) -> None:
    """Count the requests of a minute, which begins with the account's first one. Without Redis nothing is limited.

    Answers 429 to one too many.
    """
    counted = request.scope.get(COUNTED)
    try:
        counted = counted or await live_of(request).batches.count(account_id)
    except redis.RedisError as error:
        log.warning("requests are not counted: %s", type(error).__name__)
        return
    most = settings_of(request).requests_per_minute
    request.scope[HEADERS] = limit_headers(most, counted)
    if counted.number > most:
        wait = str(max(1, counted.left))
        sentence = f"More than {most} requests in a minute: wait {wait} seconds. `Retry-After` says when to try again."
        raise HTTPException(429, sentence, {"Retry-After": wait})


class ShowRateLimit:
    """Middleware that adds the headers to the answers of requests that were counted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, and add the headers."""

        async def add_and_send(message: Message) -> None:
            if message["type"] == "http.response.start" and HEADERS in scope:
                message["headers"] = [*message["headers"], *scope[HEADERS]]
            await send(message)

        await self._app(scope, receive, add_and_send)
