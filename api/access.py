"""Who sends a request, and whether they may: API key, subscription, rate limit."""

import logging
from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

import redis
from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import APIKeyQuery, HTTPBearer
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.live import live_of
from api.live.redis_batches import SECONDS
from api.resources import settings_of
from models.status import SubscriptionStatus

NOT_PAID = "This account has no active paid subscription: renew it, then try again."
REFUSALS: Mapping[str, str] = {
    SubscriptionStatus.SUSPENDED: "This account is suspended: ask its operator to resume it, then try again.",
}

RATE_LIMIT = "growth.rate_limit"
"""Where a request's scope has the headers that say how many are left."""

log = logging.getLogger(__name__)

BEARER = HTTPBearer(description="An API key, as `growth account create` shows it", auto_error=False)
"""For the OpenAPI document only. `_bearer_key` reads the key, and its error says what to do without one."""


async def known_account(request: Request, _key: Annotated[object, Security(BEARER)]) -> UUID:
    """The account whose API key came with the request. Answers 401 or 403 if it may not be served."""
    account = await live_of(request).accounts.of_key(_bearer_key(request))
    if account is None:
        raise _unauthorized("This API key is not valid: check it, or create one with `growth account create`.")
    if account.subscription_status != SubscriptionStatus.ACTIVE:
        raise HTTPException(403, REFUSALS.get(account.subscription_status, NOT_PAID))
    return account.id


Caller = Annotated[UUID, Depends(known_account)]
"""For calls that count their request themselves, together with what they read."""


async def paying_account(request: Request, account_id: Caller) -> UUID:
    """`known_account`, and the request is counted. Answers 429 if it is one too many."""
    await count_request(request, account_id)
    return account_id


AccountId = Annotated[UUID, Depends(paying_account)]


SIGNATURE = APIKeyQuery(name="signature", description="Part of a `download_url`, with `expires`", auto_error=False)
"""For the OpenAPI document only, as `BEARER`."""


async def account_or_link(
    request: Request, key: Annotated[object, Security(BEARER)], _signature: Annotated[object, Security(SIGNATURE)]
) -> UUID | None:
    """The account of the API key, as `paying_account`; None for a signed link without a key."""
    has_key = bool(request.headers.get("authorization"))
    if "signature" in request.query_params and not has_key:
        return None
    return await paying_account(request, await known_account(request, key))


AccountOrLink = Annotated[UUID | None, Depends(account_or_link)]


def _bearer_key(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise _unauthorized("An API key is needed: send it as `Authorization: Bearer <api key>`.")
    return key.strip()


def _unauthorized(sentence: str) -> HTTPException:
    return HTTPException(401, sentence, {"WWW-Authenticate": "Bearer"})


async def count_request(request: Request, account_id: UUID) -> None:
    """Count the requests of a minute, which begins with the account's first one. Without Redis nothing is limited."""
    try:
        counted = await live_of(request).batches.count(account_id)
    except redis.RedisError as error:
        log.warning("requests are not counted: %s", type(error).__name__)
        return
    most, wait = settings_of(request).requests_per_minute, max(1, counted.left)
    request.scope[RATE_LIMIT] = {
        "RateLimit-Policy": f'"requests";q={most};w={SECONDS}',
        "RateLimit": f'"requests";r={max(0, most - counted.number)};t={wait}',
    }
    if counted.number > most:
        sentence = f"More than {most} requests in a minute: wait {wait} seconds. `Retry-After` says when to try again."
        raise HTTPException(429, sentence, {"Retry-After": str(wait)})


class ShowRateLimit:
    """Middleware that says in each answer how many requests are left (draft-ietf-httpapi-ratelimit-headers)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application, and add the headers if the request was counted."""

        async def add_and_send(message: Message) -> None:
            if message["type"] == "http.response.start" and RATE_LIMIT in scope:
                MutableHeaders(scope=message).update(scope[RATE_LIMIT])
            await send(message)

        await self._app(scope, receive, add_and_send)
