"""Reading a request's body: bounded, then parsed and validated in one pass over the bytes."""

from collections.abc import Mapping
from typing import TypeVar

from fastapi import HTTPException, Request
from pydantic import BaseModel, ValidationError

from api.access import settings_of
from api.errors import sentence_of
from models.wire import KNOWS_COMPANIES, RunRequest
from pipeline.errors import InvalidInput

T = TypeVar("T", bound=BaseModel)


async def read_body(request: Request) -> bytes:
    """The body; answers 400 as soon as it is larger than allowed, without reading the rest."""
    most = settings_of(request).max_body_bytes
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise HTTPException(400, f"The body is larger than {most} bytes: split the run into smaller ones.")
    return bytes(body)


def parse_body(shape: type[T], body: bytes, context: Mapping[str, object] | None = None) -> T:
    """What a body says. Answers 400 when it is not JSON; raises `InvalidInput` when it fails validation."""
    try:
        return shape.model_validate_json(body, context=context)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        if problems[0]["type"] == "json_invalid":
            raise HTTPException(400, f"The body is not JSON: {problems[0]['msg'].partition(': ')[2]}.") from error
        raise InvalidInput(sentence_of(problems)) from error


def parse_run_request(body: bytes, max_contacts: int, *, knows_companies: bool = False) -> RunRequest:
    """The order in a body. Answers 400 when it is not JSON; raises `InvalidInput` when it fails validation.

    With `knows_companies` a contact may bring a company and no domain.
    """
    run_request = parse_body(RunRequest, body, {KNOWS_COMPANIES: knows_companies})
    contacts = len(run_request.goal_plan.input_assets.contacts)
    if contacts > max_contacts:
        raise InvalidInput(
            f"{contacts} contacts are more than the {max_contacts} of one run: split it into smaller ones."
        )
    return run_request
