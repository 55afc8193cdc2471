"""Which account a browser has signed in to."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, HTTPException, Request
from starlette.responses import Response

from api.access import NOT_PAID, REFUSALS
from api.live import live_of
from api.live.rate_limit import count_request
from api.resources import settings_of
from models.status import SubscriptionStatus
from pipeline.keys import SIGNED_IN_DAYS
from web.security import is_https

COOKIE = "growth_session"


class NotSignedIn(Exception):
    """Raised when a page needs an account, and the browser has not signed in, or not any more."""


@dataclass(frozen=True, slots=True)
class Member:
    """A browser that signed in: to which account, and the token of its cookie."""

    account_id: UUID
    token: str
    is_operator: bool


async def signed_in(request: Request) -> Member:
    """Who has signed in. Raises `NotSignedIn`; answers 403 for an account that may not be served."""
    token = token_of(request)
    account = await live_of(request).sign_ins.of_key(token) if token else None
    if account is None:
        raise NotSignedIn
    if account.subscription_status != SubscriptionStatus.ACTIVE:
        raise HTTPException(403, REFUSALS.get(account.subscription_status, NOT_PAID))
    return Member(account.id, token, account.is_operator)


async def counted_member(request: Request) -> Member:
    """`signed_in`, and the request is counted as those of the API are. Answers 429 if it is one too many."""
    member = await signed_in(request)
    await count_request(request, member.account_id)
    return member


SignedIn = Annotated[Member, Depends(counted_member)]


async def operating_member(member: SignedIn) -> Member:
    """`counted_member`, with the operator's role. For others the page is not there."""
    if not member.is_operator:
        raise HTTPException(404)
    return member


Operator = Annotated[Member, Depends(operating_member)]


def token_of(request: Request) -> str:
    """What the browser's cookie holds; nothing if it has none."""
    return request.cookies.get(_name(request), "")


def remember(request: Request, response: Response, token: str) -> None:
    """Give the browser its cookie: no script reads it, and no other site sends it."""
    response.set_cookie(_name(request), token, max_age=SIGNED_IN_DAYS * 86_400, **_terms(request))  # type: ignore[arg-type]


def forget(request: Request, response: Response) -> None:
    """Take the cookie away."""
    response.delete_cookie(_name(request), **_terms(request))  # type: ignore[arg-type]


def _name(request: Request) -> str:
    """With the prefix, browsers take the cookie from this host only, not from another one of its domain."""
    return f"__Host-{COOKIE}" if _is_secure(request) else COOKIE


def _terms(request: Request) -> dict[str, object]:
    return {"path": "/", "secure": _is_secure(request), "httponly": True, "samesite": "strict"}


def _is_secure(request: Request) -> bool:
    return is_https(request.url.scheme, settings_of(request))
