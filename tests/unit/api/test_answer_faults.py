"""The text of an unexpected error reaches neither the client nor the log."""

import asyncio
import logging
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from api.errors import AnswerInterrupted, add_error_handlers

NAME = "Ada Byron"


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    add_error_handlers(app)

    @app.get("/breaks")
    def breaks() -> None:
        raise ValueError(f"{NAME} is nobody we know")

    @app.get("/breaks-half-way")
    def breaks_half_way() -> StreamingResponse:
        def pieces() -> Iterator[str]:
            yield "half"
            raise ValueError(f"{NAME} is nobody we know")

        return StreamingResponse(pieces())

    return app


def get(app: FastAPI, path: str) -> httpx.Response:
    """Over no network, so that what the application raises is raised here, as it would be in the server."""

    async def request() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test") as client:
            return await client.get(path)

    return asyncio.run(request())


def test_an_unexpected_error_is_answered_with_a_sentence_and_its_text_is_not_logged(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        response = get(app, "/breaks")

    assert response.status_code == 500
    assert response.json() == {"detail": response.json()["detail"]}
    assert "contact support" in response.json()["detail"]
    assert "GET /breaks failed: ValueError" in caplog.text
    assert NAME not in caplog.text


def test_an_answer_that_fails_half_way_is_interrupted_without_the_errors_text(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(AnswerInterrupted) as interrupted:
        get(app, "/breaks-half-way")

    assert NAME not in caplog.text
    assert interrupted.value.__suppress_context__
