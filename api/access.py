"""Who sends a request, and whether they may: API key, subscription, rate limit."""

import logging
from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

import redis
from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import APIKeyQuery, HTTPBearer

from api.resources import database_of, redis_of, settings_of
from models.queries import account_of_key
from models.status import SubscriptionStatus

NOT_PAID = "This account has no active paid subscription: renew it, then try again."
REFUSALS: Mapping[str, str] = {
    SubscriptionStatus.SUSPENDED: "This account is suspended: ask its operator to resume it, then try again.",
}

log = logging.getLogger(__name__)

BEARER = HTTPBearer(description="An API key, as `growth account create` shows it", auto_error=False)
"""For the OpenAPI document only. `_bearer_key` reads the key, and its error says what to do without one."""


def paying_account(request: Request, _key: Annotated[object, Security(BEARER)]) -> UUID:
    """The account whose API key came with the request. Answers 401, 403 or 429 if it may not be served."""
    with database_of(request).transaction() as session:
        account = account_of_key(session, _bearer_key(request))
    if account is None:
        raise _unauthorized("This API key is not valid: check it, or create one with `growth account create`.")
    if account.subscription_status != SubscriptionStatus.ACTIVE:
        raise HTTPException(403, REFUSALS.get(account.subscription_status, NOT_PAID))
    count_request(request, account.id)
    return account.id


AccountId = Annotated[UUID, Depends(paying_account)]


SIGNATURE = APIKeyQuery(name="signature", description="Part of a `download_url`, with `expires`", auto_error=False)
"""For the OpenAPI document only, as `BEARER`."""


def account_or_link(
    request: Request, key: Annotated[object, Security(BEARER)], _signature: Annotated[object, Security(SIGNATURE)]
) -> UUID | None:
    """The account of the API key, as `paying_account`; None for a signed link without a key."""
    has_key = bool(request.headers.get("authorization"))
    return None if "signature" in request.query_params and not has_key else paying_account(request, key)


AccountOrLink = Annotated[UUID | None, Depends(account_or_link)]


def _bearer_key(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise _unauthorized("An API key is needed: send it as `Authorization: Bearer <api key>`.")
    return key.strip()


def _unauthorized(sentence: str) -> HTTPException:
    return HTTPException(401, sentence, {"WWW-Authenticate": "Bearer"})


def count_request(request: Request, account_id: UUID) -> None:
    """Count the requests of a minute, which begins with the account's first one. Without Redis nothing is limited."""
    most, key = settings_of(request).requests_per_minute, f"growth:requests:{account_id}"
    try:
        with redis_of(request).pipeline() as commands:
            commands.incr(key)
            commands.expire(key, 60, nx=True)
            commands.ttl(key)
            count, _, left = commands.execute()
    except redis.RedisError as error:
        log.warning("requests are not counted: %s", type(error).__name__)
        return
    if count > most:
        wait = str(max(1, left))
        sentence = f"More than {most} requests in a minute: wait {wait} seconds. `Retry-After` says when to try again."
        raise HTTPException(429, sentence, {"Retry-After": wait})
