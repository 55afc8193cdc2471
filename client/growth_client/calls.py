"""The operations that are one request, or a few: submit, quote, look, cancel, retry, list."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote as quoted

from growth_client.answers import Accepted, Output, Quote, RunState, TimelineEvent
from growth_client.errors import Conflict, NotAnEngine, NotFound
from growth_client.retries import Retries, send
from growth_client.shapes import Shape
from growth_client.steps import JSON, WORKING_TIMEOUT_S, Give, Operation, Request, json_body

ROOT = "/api/v1/growth"
PAGE = 1_000
SMALLER = 4
"""By how much fewer items are asked for after a page that was too large: contacts may have large columns."""
RUNS_AT_ONCE = 100
MOST_EMPTY_PAGES = 10_000
"""So many in a row are more than the engine sends: it searches thousands of contacts for each."""

STATE: Shape = {"run_id": str, "status": str, "progress": dict}
"""What is relied on in the state of a run."""


def path_of(run_id: str | uuid.UUID, *rest: str) -> str:
    """The path of a run, or of what it has."""
    return path("runs", str(run_id), *rest)


def path(*parts: str) -> str:
    """A path of the API. Each part is quoted, so that an id leads nowhere else. Raises `NotFound` for what is no id."""
    for part in parts:
        if not part.strip("."):  # as a part of a path it leads to another one, also when it is quoted
            raise NotFound(f"There is nothing with the id '{part}': check it.", 404)
    return "/".join([ROOT, *(quoted(part, safe="", errors="replace") for part in parts)])


def plan_of(
    contacts: Iterable[Mapping[str, Any]] | None, upload_id: str | None, preset: str, output: Output | None
) -> dict[str, Any]:
    """The `goal_plan` for contacts, or for those of an upload."""
    if (contacts is None) == (upload_id is None):
        raise ValueError("Give contacts or upload_id: one of them.")
    assets = {"upload_id": str(upload_id)} if contacts is None else {"contacts": [dict(each) for each in contacts]}
    plan: dict[str, Any] = {"pipeline_id": "email_discovery_v1", "preset": preset, "input_assets": assets}
    return plan | ({"output": dict(output)} if output else {})


def submit(
    goal_plan: Mapping[str, Any], quote_token: str | None, idempotency_key: str | None, retries: Retries
) -> Operation[Accepted]:
    """Create a run. Without a key of the caller's the request has one of its own, so that it can be repeated."""
    body = {"goal_plan": goal_plan} | ({"quote_token": quote_token} if quote_token else {})
    headers = {**JSON, "Idempotency-Key": idempotency_key or uuid.uuid4().hex}
    request = Request("POST", f"{ROOT}/run", (), headers, json_body(body), WORKING_TIMEOUT_S)
    reply = yield from send(request, retries)
    return cast("Accepted", reply.object({"run_id": str}))


def quote(goal_plan: Mapping[str, Any], max_credits: int | None, retries: Retries) -> Operation[Quote]:
    """Ask what a plan would cost."""
    body = {"goal_plan": goal_plan} | ({} if max_credits is None else {"max_external_spend_credits": max_credits})
    request = Request("POST", f"{ROOT}/quote", (), JSON, json_body(body), WORKING_TIMEOUT_S)
    reply = yield from send(request, retries)
    return cast("Quote", reply.object({"quotable": bool}))


def state(run_id: str, retries: Retries, shape: Shape = STATE) -> Operation[RunState]:
    """Read the state of a run."""
    reply = yield from send(Request("GET", path_of(run_id)), retries)
    return cast("RunState", reply.object(shape))


def cancel(run_id: str, retries: Retries) -> Operation[RunState]:
    """Cancel a run. One that is cancelled already, perhaps by a request whose answer was lost, is returned as it is."""
    try:
        reply = yield from send(Request("POST", path_of(run_id, "cancel"), timeout_s=WORKING_TIMEOUT_S), retries)
    except Conflict:
        ended = yield from state(run_id, retries)
        if ended["status"] != "cancelled":
            raise
        return ended
    return cast("RunState", reply.object(STATE))


def retry(run_id: str, retries: Retries) -> Operation[Accepted]:
    """Continue a failed or cancelled run as a new one. The engine answers a repeated request with the same run."""
    reply = yield from send(Request("POST", path_of(run_id, "retry"), timeout_s=WORKING_TIMEOUT_S), retries)
    return cast("Accepted", reply.object({"run_id": str}))


def timeline(run_id: str, retries: Retries) -> Operation[list[TimelineEvent]]:
    """Read what happened to a run."""
    reply = yield from send(Request("GET", path_of(run_id, "timeline")), retries)
    return cast("list[TimelineEvent]", reply.object({"events": list})["events"])


def results(run_id: str, statuses: Sequence[str], retries: Retries) -> Operation[None]:
    """Give each result so far, fetched page by page."""
    wanted = tuple(("status", status) for status in statuses)
    yield from _pages(path_of(run_id, "results"), "results", wanted, PAGE, retries)


def runs(wanted: Mapping[str, str | None], retries: Retries) -> Operation[None]:
    """Give each run of the account, newest first, fetched page by page."""
    params = tuple((name, value) for name, value in wanted.items() if value)
    yield from _pages(f"{ROOT}/runs", "runs", params, RUNS_AT_ONCE, retries)


def _pages(path: str, key: str, wanted: tuple[tuple[str, str], ...], limit: int, retries: Retries) -> Operation[None]:
    after: str | None = ""
    empty = 0
    while after is not None:
        params = (*wanted, ("limit", str(limit)), ("after", after))
        reply = yield from send(Request("GET", path, params), retries)
        if reply.unread == "too large" and limit >= SMALLER:
            limit //= SMALLER
            continue
        page = reply.object({key: list, "next": str | None})
        for item in page[key]:
            yield Give(item)
        empty = 0 if page[key] else empty + 1
        if page["next"] == after or empty > MOST_EMPTY_PAGES:
            raise NotAnEngine("What answers there sends pages without an end: check the address.")
        after = page["next"]
