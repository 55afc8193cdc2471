"""Who is asking: the API key, the subscription, the rate limit."""

import asyncio
import logging
from collections.abc import AsyncIterator, Hashable, MutableMapping
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

import redis
from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import HTTPBearer

from api.apart import resources_of
from models.database import Database
from models.queries import account_of_key
from models.status import SubscriptionStatus
from settings import Settings

AT_ONCE = 2
"""Requests of one account and one kind that a process works at the same time."""
LONGEST_WAIT_S = 30

log = logging.getLogger(__name__)


def settings_of(request: Request) -> Settings:
    """This process's settings."""
    return resources_of(request).settings


def database_of(request: Request) -> Database:
    """This process's database."""
    return resources_of(request).database


def redis_of(request: Request) -> redis.Redis:
    """This process's Redis client."""
    return resources_of(request).redis


BEARER = HTTPBearer(description="An API key, as `growth account create` shows it", auto_error=False)
"""For the API's document; the key is read in `_bearer_key`, which says what to do when it is missing."""


def paying_account(request: Request, _key: Annotated[object, Security(BEARER)]) -> UUID:
    """The account that asks, if it may. Answers 401, 403 or 429 otherwise."""
    with database_of(request).transaction() as session:
        account = account_of_key(session, _bearer_key(request))
    if account is None:
        raise _unauthorized("This API key is not valid: check it, or create one with `growth account create`.")
    if account.subscription_status != SubscriptionStatus.ACTIVE:
        raise HTTPException(403, "This account has no active paid subscription: renew it, then try again.")
    _count_request(request, account.id)
    return account.id


AccountId = Annotated[UUID, Depends(paying_account)]


async def take_turn(request: Request, account_id: AccountId) -> AsyncIterator[None]:
    """Work only so many of an account's changes at once; the others wait, and hold neither a thread nor a body.

    Without this, one account that sends many large bodies has all threads and connections. Answers 429 to who has
    waited too long.
    """
    async with _turn(request, (account_id, "changes")):
        yield


async def take_turn_to_cancel(request: Request, account_id: AccountId) -> AsyncIterator[None]:
    """As `take_turn`, for what must not wait behind large bodies, but may wait long for the lock of its run."""
    async with _turn(request, (account_id, "cancels")):
        yield


async def take_turn_to_list(request: Request, account_id: AccountId) -> AsyncIterator[None]:
    """As `take_turn`, for reading what may have thousands of rows: shaping them takes the interpreter for long."""
    async with _turn(request, (account_id, "lists")):
        yield


@asynccontextmanager
async def _turn(request: Request, of: Hashable) -> AsyncIterator[None]:
    turn = _turn_of(request.app.state.turns, of)
    try:
        async with asyncio.timeout(LONGEST_WAIT_S):
            await turn.acquire()
    except TimeoutError:
        sentence = f"{AT_ONCE} such requests of your account are still in work: wait for their answers, then try again."
        raise HTTPException(429, sentence, {"Retry-After": "5"}) from None
    try:
        yield
    finally:
        turn.release()


def _turn_of(turns: MutableMapping[Hashable, asyncio.Semaphore], of: Hashable) -> asyncio.Semaphore:
    turn = turns.get(of)
    if turn is None:
        turn = turns[of] = asyncio.Semaphore(AT_ONCE)
    return turn


def _bearer_key(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise _unauthorized("An API key is needed: send it as `Authorization: Bearer <api key>`.")
    return key.strip()


def _unauthorized(sentence: str) -> HTTPException:
    return HTTPException(401, sentence, {"WWW-Authenticate": "Bearer"})


def _count_request(request: Request, account_id: UUID) -> None:
    """A minute that begins with its first request, by Redis's clock; without Redis nobody is turned away."""
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
        sentence = f"More than {most} requests in a minute: wait {wait} seconds. `Retry-After` says when to poll again."
        raise HTTPException(429, sentence, {"Retry-After": wait})
