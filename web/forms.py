"""What a form sends."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException, Request

from api.bodies import read_body

MOST_BYTES = 4 * 1024 * 1024
MOST_FIELDS = 50
ENCODING = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form; of several with one name the last. Answers 400 for what is no form, or too large."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != ENCODING:
        raise HTTPException(400, "This is not a form as the page sends it: reload the page, and try again.")
    body = await read_body(request, MOST_BYTES)
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise HTTPException(400, "This form can't be read: reload the page, and try again.") from None
    return dict(fields)


Form = Annotated[Mapping[str, str], Depends(read_form)]
