"""Signing in with an API key, and out."""

import re
from collections.abc import Mapping
from typing import Annotated
from uuid import UUID, uuid5

import redis
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from api.live import live_of
from api.resources import database_of
from pipeline import keys
from web.access import NotSignedIn, forget, remember, signed_in, token_of
from web.forms import read_form
from web.rendering import go_to, page

SIGN_INS_A_MINUTE = 30
OF_SIGN_INS = UUID("8a1a6c0e-6d7b-4d55-9f0b-6a51f6a6f3b1")
OWN_PATH = re.compile(
    r"/(?:(?:runs|new|account|operator)(?:/[0-9a-f-]{36})?|account/hooks/[0-9a-f-]{36})(?:\?[\w=&.%:+-]*)?"
)
"""Where a sign-in may lead: to our own pages, and nowhere else."""
NOT_KNOWN = "This key is not known, or it was revoked. Check that the whole key was pasted."
LONGEST_KEY = 200
LONGEST_FORM = 4096

sign_in_and_out = APIRouter()


@sign_in_and_out.get("/")
async def home(request: Request) -> Response:
    """The list of runs."""
    return go_to(request, "/runs")


@sign_in_and_out.get("/login")
async def show(request: Request, target: Annotated[str, Query(alias="next")] = "") -> Response:
    """The form, unless the browser has signed in already."""
    try:
        await signed_in(request)
    except (NotSignedIn, HTTPException):
        return page(request, "login.html", target=target, error="")
    return go_to(request, _own(target))


async def count_sign_in(request: Request) -> None:
    """Limit how often a client tries keys. Answers 429; without Redis nothing is limited."""
    client = request.client.host if request.client else ""
    try:
        counted = await live_of(request).batches.count(uuid5(OF_SIGN_INS, client))
    except redis.RedisError:
        return
    if counted.number > SIGN_INS_A_MINUTE:
        wait = str(max(1, counted.left))
        raise HTTPException(429, f"Too many tries to sign in: wait {wait} seconds.", {"Retry-After": wait})


async def read_sign_in(request: Request) -> Mapping[str, str]:
    """The form, of which nothing is read before the try is counted: anybody may send one."""
    await count_sign_in(request)
    return await read_form(request, LONGEST_FORM)


@sign_in_and_out.post("/login")
def enter(request: Request, form: Annotated[Mapping[str, str], Depends(read_sign_in)]) -> Response:
    """Check the key, and give the browser a new cookie: one that it had before is worth nothing from now on."""
    key, target = form.get("key", "").strip(), form.get("next", "")
    with database_of(request).transaction() as session:
        keys.sign_out(session, token_of(request))
        token = keys.sign_in(session, key) if len(key) <= LONGEST_KEY else None
    if token is None:
        return page(request, "login.html", 401, target=target, error=NOT_KNOWN)
    response = go_to(request, _own(target))
    remember(request, response, token)
    return response


@sign_in_and_out.post("/logout")
def leave(request: Request) -> Response:
    """End the sign-in, here and in the browser."""
    with database_of(request).transaction() as session:
        keys.sign_out(session, token_of(request))
    response = go_to(request, "/login")
    forget(request, response)
    return response


def _own(path: str) -> str:
    return path if OWN_PATH.fullmatch(path) else "/runs"
