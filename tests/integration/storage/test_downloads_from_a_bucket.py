"""Downloads from a bucket are those from a folder: the same answers, a piece at a time."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from api.errors import AnswerInterrupted
from api.live import running_live
from models.api_key import ApiKey, hash_api_key, new_api_key
from models.artifact import Artifact
from models.database import Database
from tests.api_in_process import opened_api, send
from tests.factories import account, owner_of
from tests.integration.storage.conftest import OwnBucket
from tests.old_runs import OldRuns

CSV = "contacts_csv"


@pytest.fixture
def app(own: OwnBucket, database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastAPI]:
    settings = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url, "EXPORT_STORAGE": own.url}
    with opened_api(settings, monkeypatch) as app:
        yield app


@pytest.fixture
def run_id(runs: OldRuns) -> UUID:
    return runs.completed_run(count=20, days_ago=0)


@pytest.fixture
def key(runs: OldRuns, run_id: UUID) -> str:
    return key_of(runs.database, owner_of(runs.database, run_id))


def key_of(database: Database, account_id: UUID) -> str:
    key = new_api_key()
    with database.transaction() as session:
        session.add(ApiKey(account_id=account_id, key_hash=hash_api_key(key)))
    return key


def file_of(runs: OldRuns, run_id: UUID) -> Artifact:
    with runs.database.transaction() as session:
        return session.get_one(Artifact, (run_id, CSV))


def request(app: FastAPI, key: str, url: str, method: str = "GET", headers: Mapping[str, str] = {}) -> httpx.Response:
    bearer = {"Authorization": f"Bearer {key}"} if key else {}
    return send(app, method, url, headers={**bearer, **headers})


def url_of(run_id: UUID) -> str:
    return f"/api/v1/growth/runs/{run_id}/exports/{CSV}"


@pytest.mark.parametrize("piece", [4 * 1024 * 1024, 100], ids=["one piece", "many pieces"])
def test_a_file_comes_whole_with_its_checksum_as_etag(
    app: FastAPI, runs: OldRuns, run_id: UUID, key: str, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr("api.downloads._PartOfObject.chunk_size", piece)
    file = file_of(runs, run_id)

    answer = request(app, key, url_of(run_id))

    assert (answer.status_code, len(answer.content)) == (200, file.bytes)
    assert answer.text.count("\n") == 21
    assert answer.headers["etag"] == f'"{file.sha256}"'
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == f'attachment; filename="{run_id}.csv"'


def test_parts_of_a_file_come_as_they_are_asked_for(app: FastAPI, runs: OldRuns, run_id: UUID, key: str) -> None:
    whole, size = request(app, key, url_of(run_id)).content, file_of(runs, run_id).bytes or 0

    def part(byte_range: str, **headers: str) -> httpx.Response:
        return request(app, key, url_of(run_id), headers={"Range": byte_range, **headers})

    for byte_range, start, end in (("bytes=5-9", 5, 10), ("bytes=-7", size - 7, size), (f"bytes=9-{size}", 9, size)):
        answer = part(byte_range)
        assert (answer.status_code, answer.content) == (206, whole[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    several = part("bytes=0-3,10-13")
    assert several.status_code == 206
    assert whole[:4] in several.content
    assert whole[10:14] in several.content
    beyond = part(f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    etag = f'"{file_of(runs, run_id).sha256}"'
    assert part("bytes=0-4", **{"If-Range": etag}).status_code == 206
    assert part("bytes=0-4", **{"If-Range": '"other"'}).content == whole


def test_head_and_conditional_requests_send_no_content(app: FastAPI, runs: OldRuns, run_id: UUID, key: str) -> None:
    file = file_of(runs, run_id)

    head = request(app, key, url_of(run_id), "HEAD")
    same = request(app, key, url_of(run_id), headers={"If-None-Match": f'"{file.sha256}"'})

    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(file.bytes))
    assert head.headers["accept-ranges"] == "bytes"
    assert (same.status_code, same.content) == (304, b"")


def test_another_account_gets_the_answer_for_a_run_that_does_not_exist(
    app: FastAPI, runs: OldRuns, run_id: UUID, key: str
) -> None:
    other = key_of(runs.database, account(runs.database).account_id)

    theirs, missing = request(app, other, url_of(run_id)), request(app, key, url_of(UUID(int=1)))

    assert (theirs.status_code, theirs.json()) == (404, missing.json())


def test_a_link_needs_no_key_and_ends_with_its_file(app: FastAPI, runs: OldRuns, run_id: UUID, own: OwnBucket) -> None:
    state = runs.state(run_id)
    (link,) = [handle["download_url"] for handle in state["export_handles"] if handle["format"] == "csv"]

    before = request(app, "", link)
    with runs.database.transaction() as session:
        session.delete(session.scalars(select(Artifact).where(Artifact.asset_id == CSV)).one())
    after = request(app, "", link)

    assert (before.status_code, after.status_code) == (200, 403)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_that_is_gone_or_not_the_one_that_was_written_is_missing(
    app: FastAPI, runs: OldRuns, run_id: UUID, key: str, own: OwnBucket, method: str
) -> None:
    place = f"some/prefix/{file_of(runs, run_id).storage_key}"
    store = own.server.store(own.name)

    store.put(place, b"something else")
    other = request(app, key, url_of(run_id), method)
    store.delete(place)
    gone = request(app, key, url_of(run_id), method)

    assert (other.status_code, gone.status_code) == (404, 404)
    if method == "GET":
        assert "no longer stored" in gone.json()["detail"]


def test_ready_reports_a_storage_that_answers(app: FastAPI) -> None:
    assert request(app, "", "/readyz").json()["storage"] == "ok"


def test_while_the_storage_is_away_a_download_is_answered_503_and_ready_says_what_is_wrong(
    app: FastAPI, run_id: UUID, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    answer, ready = request(app, key, url_of(run_id)), request(app, "", "/readyz")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert answer.json() == {"detail": "The storage of the files does not answer now: try again in a minute."}
    assert ready.status_code == 200
    assert "it can't be reached: check AWS_ENDPOINT_URL" in ready.json()["storage"]


def test_what_is_not_there_any_more_while_it_is_read_cuts_the_download(
    app: FastAPI, runs: OldRuns, run_id: UUID, key: str, own: OwnBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that counts the bytes finds fewer than were announced."""
    monkeypatch.setattr("api.downloads._PartOfObject.chunk_size", 100)
    place = f"some/prefix/{file_of(runs, run_id).storage_key}"
    sent: list[Mapping[str, Any]] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and not sent[1:]:
            own.server.store(own.name).delete(place)
        sent.append(message)

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": url_of(run_id), "raw_path": url_of(run_id).encode(), "query_string": b"",
        "root_path": "", "headers": [(b"authorization", f"Bearer {key}".encode())], "client": ("127.0.0.1", 1),
        "server": ("api.test", 80),
    }  # fmt: skip

    async def download() -> None:
        async with running_live(app.state.resources) as app.state.live:
            await app(scope, receive, send)  # type: ignore[arg-type]

    with pytest.raises(AnswerInterrupted, match="FileNotFoundError"):
        asyncio.run(download())

    assert sent[0]["status"] == 200
    assert all(message.get("more_body") for message in sent[1:])
