"""Who sends a request, and whether they may: API key, subscription, rate limit."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import APIKeyQuery, HTTPBearer

from api.live import Live, live_of
from api.live.rate_limit import count_request
from models.status import SubscriptionStatus

NOT_PAID = "This account has no active paid subscription: renew it, then try again."
REFUSALS: Mapping[str, str] = {
    SubscriptionStatus.SUSPENDED: "This account is suspended: ask its operator to resume it, then try again.",
}

BEARER = HTTPBearer(description="An API key, as `growth account create` shows it", auto_error=False)
"""For the OpenAPI document only. `_bearer_key` reads the key, and its error says what to do without one."""


async def known_account(request: Request, _key: Annotated[object, Security(BEARER)]) -> UUID:
    """The account whose API key came with the request. Answers 401 or 403 if it may not be served."""
    return await served_account(live_of(request), request.headers.get("authorization", ""))


async def served_account(live: Live, authorization: str) -> UUID:
    """The account of the key in a header `Authorization`. Raises `HTTPException` if it may not be served."""
    account = await live.accounts.of_key(_bearer_key(authorization))
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


def _bearer_key(authorization: str) -> str:
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise _unauthorized("An API key is needed: send it as `Authorization: Bearer <api key>`.")
    return key.strip()


def _unauthorized(sentence: str) -> HTTPException:
    return HTTPException(401, sentence, {"WWW-Authenticate": "Bearer"})
