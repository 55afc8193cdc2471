"""What a form sends."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from anyio.to_thread import run_sync
from fastapi import Depends, HTTPException, Request

from api.bodies import read_body

MOST_BYTES = 4 * 1024 * 1024
LARGE_BYTES = 16 * 1024
"""A larger form is parsed in a thread: 4 MB take a third of a second, in which no other request would go on."""
MOST_FIELDS = 50
ENCODING = "application/x-www-form-urlencoded"


async def read_form(request: Request, most: int = MOST_BYTES) -> Mapping[str, str]:
    """The fields of a form; of several with one name the last. Answers 400 for what is no form, or too large."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != ENCODING:
        raise HTTPException(400, "This is not a form as the page sends it: reload the page, and try again.")
    body = await read_body(request, most)
    try:
        return _fields(body) if len(body) <= LARGE_BYTES else await run_sync(_fields, body)
    except ValueError:
        raise HTTPException(400, "This form can't be read: reload the page, and try again.") from None


def _fields(body: bytes) -> Mapping[str, str]:
    return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"))


async def whole_form(request: Request) -> Mapping[str, str]:
    """`read_form`, for routes."""
    return await read_form(request)


Form = Annotated[Mapping[str, str], Depends(whole_form)]
