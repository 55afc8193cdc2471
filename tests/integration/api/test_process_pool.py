"""Requests with large bodies run in worker processes; results, errors and log lines are passed back."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException, Request
from sqlalchemy import text

from api.bodies import Body
from api.errors import FAULT, add_error_handlers
from api.process_pool import LARGE_BYTES, NICENESS, process_limiter, run_by_size
from api.resources import Resources, open_resources
from pipeline.errors import InvalidInput
from settings import Settings

log = logging.getLogger(__name__)

ADDRESS = "ada@alpha.test"
SMALL, LARGE = b"x" * (LARGE_BYTES - 1), b"x" * LARGE_BYTES


def where(_resources: Resources, body: bytes) -> dict[str, int]:
    return {"process": os.getpid(), "priority": os.getpriority(os.PRIO_PROCESS, 0), "bytes": len(body)}


def refuse(_resources: Resources, _body: bytes) -> None:
    raise InvalidInput("contact 7, field domain: it is no domain")


def raise_http_error(_resources: Resources, _body: bytes) -> None:
    raise HTTPException(429, "Too many.", {"Retry-After": "9"})


def query_postgres(resources: Resources, _body: bytes) -> None:
    with resources.database.transaction() as session:
        session.execute(text("SELECT 1"))


def store_invalid_text(resources: Resources, _body: bytes) -> None:
    with resources.database.transaction() as session:
        session.execute(text("SELECT convert_from('\\xff', 'UTF8')"))


def break_down(_resources: Resources, _body: bytes) -> None:
    log.warning("before the fault")
    raise KeyError(ADDRESS)


def die(_resources: Resources, _body: bytes) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


TASKS = {
    task.__name__: task
    for task in (where, refuse, raise_http_error, query_postgres, store_invalid_text, break_down, die)
}


@pytest.fixture
def app(database_url: str, valkey_url: str, tmp_path: Path) -> Iterator[FastAPI]:
    app = FastAPI()
    settings = {"database_url": database_url, "redis_url": valkey_url, "export_dir": tmp_path}
    app.state.resources = open_resources(Settings.model_validate(settings), connections=1)
    app.state.process_limiter = process_limiter()
    add_error_handlers(app)

    @app.post("/{task}")
    def do(request: Request, body: Body, task: str) -> Any:
        return run_by_size(request, body, TASKS[task])

    yield app
    app.state.resources.close()


def send(app: FastAPI, *requests: tuple[str, bytes]) -> list[httpx.Response]:
    """The responses to requests that are sent one after the other to the same process."""

    async def responses() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
            return [await client.post(f"/{task}", content=body) for task, body in requests]

    return asyncio.run(responses())


def test_a_large_body_is_handled_in_a_process_of_low_priority_and_a_small_one_is_not(app: FastAPI) -> None:
    small, large, again = (answer.json() for answer in send(app, ("where", SMALL), ("where", LARGE), ("where", LARGE)))

    assert small == {"process": os.getpid(), "priority": os.getpriority(os.PRIO_PROCESS, 0), "bytes": len(SMALL)}
    assert large["process"] != os.getpid()
    assert large == {"process": large["process"], "priority": NICENESS, "bytes": len(LARGE)}
    assert again == large


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
def test_a_refusal_in_a_worker_process_gives_the_same_response(app: FastAPI, body: bytes) -> None:
    refused, own_error, unstorable = send(
        app, ("refuse", body), ("raise_http_error", body), ("store_invalid_text", body)
    )

    assert (refused.status_code, refused.json()) == (422, {"detail": "contact 7, field domain: it is no domain"})
    assert (own_error.status_code, own_error.headers["Retry-After"]) == (429, "9")
    assert (unstorable.status_code, unstorable.json()["detail"].partition(":")[0]) == (422, "A value can't be stored")


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
def test_a_fault_in_a_worker_process_is_answered_and_logged_without_the_clients_data(
    app: FastAPI, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    [broken] = send(app, ("break_down", body))

    assert (broken.status_code, broken.json()) == (500, {"detail": FAULT})
    assert "before the fault" in caplog.text
    assert "in break_down" in caplog.text
    assert ADDRESS not in caplog.text


def test_an_unreachable_database_is_a_503_from_a_worker_process(app: FastAPI) -> None:
    settings = app.state.resources.settings.model_copy(update={"database_url": "postgresql://growth@127.0.0.1:1/none"})
    app.state.resources.close()
    app.state.resources = open_resources(settings, connections=1)

    [unavailable] = send(app, ("query_postgres", LARGE))

    assert (unavailable.status_code, unavailable.headers["Retry-After"]) == (503, "5")


def test_a_killed_worker_process_costs_its_own_request_only(app: FastAPI) -> None:
    killed, after = send(app, ("die", LARGE), ("where", LARGE))

    assert (killed.status_code, killed.headers["Retry-After"]) == (503, "5")
    assert "send it again" in killed.json()["detail"]
    assert after.status_code == 200
