"""The tus project's own client for Python uploads to our API, without knowing anything of it but its URL and a key."""

import asyncio
import hashlib
import io
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed
from tusclient.storage.filestorage import FileStorage

from tests.faults.engine import wait_until
from tests.faults.machine.relay import Connect, Streams, running_relays, to_port
from tests.integration.api.test_uploads import UPLOADS, cut_off, offset_of
from tests.integration.conftest import Client

PEOPLE = b"full_name,domain\n" + b"".join(b"Person Ex%d,a%d.test\n" % (n, n) for n in range(20_000))
CHUNK = 100_000
NAMED = {"filename": "people.csv", "sha256": hashlib.sha256(PEOPLE).hexdigest()}


class KeptOpen(io.BytesIO):
    """The client closes a stream when it has taken its fingerprint, and then reads on."""

    def close(self) -> None:
        pass


def tus_client(client: Client, key: str = "") -> TusClient:
    headers = {"Authorization": f"Bearer {key or client.account.api_key}"}
    return TusClient(f"{client.api.api_url}{UPLOADS}", headers=headers)


def shown(client: Client, url: str) -> dict[str, Any]:
    answer = client.http.get(url, timeout=60)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_file_arrives_in_chunks_under_its_name_and_with_its_checksum(client: Client) -> None:
    uploader = tus_client(client).uploader(file_stream=io.BytesIO(PEOPLE), chunk_size=CHUNK, metadata=NAMED)

    uploader.upload()

    upload = shown(client, uploader.url)
    assert (upload["status"], upload["name"], upload["sha256"]) == ("ready", "people.csv", NAMED["sha256"])
    assert upload["counts"]["contacts"] == 20_000


def test_who_comes_back_with_the_same_file_sends_only_the_rest(client: Client, tmp_path: Path) -> None:
    def uploader(storage: FileStorage) -> Any:
        stream = KeptOpen(PEOPLE)
        return tus_client(client).uploader(file_stream=stream, chunk_size=CHUNK, store_url=True, url_storage=storage)

    storage = FileStorage(str(tmp_path / "uploads.json"))
    first = uploader(storage)
    first.upload(stop_at=2 * CHUNK)
    again = uploader(storage)
    resumed_at = again.offset
    again.upload()
    storage.close()

    assert resumed_at == 2 * CHUNK
    assert again.url == first.url
    assert shown(client, again.url)["sha256"] == NAMED["sha256"]


def fails_at_first(connect: Connect, passes: int, failures: int) -> Connect:
    """Lets some connections pass, cuts the next ones, and lets all others pass."""
    made = 0

    async def connected() -> Streams:
        nonlocal made
        made += 1
        if passes < made <= passes + failures:
            raise ConnectionRefusedError
        return await connect()

    return connected


def test_it_goes_on_by_itself_from_the_byte_at_which_the_connection_was_cut(client: Client) -> None:
    arrived = CHUNK + 1
    url = tus_client(client).uploader(file_stream=io.BytesIO(PEOPLE)).create_url()
    cut_off(client, url, 0, len(PEOPLE), PEOPLE[:arrived])
    wait_until(lambda: offset_of(client, url) == arrived, "what was sent before the cut", seconds=10)
    server = to_port(int(urlsplit(client.api.api_url).port or 0))

    with running_relays(fails_at_first(server, passes=1, failures=2)) as [relay]:
        uploader = tus_client(client).uploader(
            url=f"http://127.0.0.1:{relay.port}{urlsplit(url).path}",
            file_stream=io.BytesIO(PEOPLE),
            retries=3,
            retry_delay=0,
        )
        resumed_at = uploader.offset
        uploader.upload()

    assert resumed_at == arrived
    assert shown(client, url)["sha256"] == NAMED["sha256"]


def test_its_client_for_asyncio_uploads_too(client: Client) -> None:
    uploader = tus_client(client).async_uploader(file_stream=io.BytesIO(PEOPLE), chunk_size=len(PEOPLE) // 2)

    asyncio.run(uploader.upload())

    assert shown(client, uploader.url)["counts"]["contacts"] == 20_000


def test_it_is_told_why_it_is_refused(client: Client) -> None:
    stranger = tus_client(client, "growth_example").uploader(file_stream=io.BytesIO(PEOPLE))
    done = tus_client(client).uploader(file_stream=io.BytesIO(PEOPLE))
    done.upload()
    done.offset = 0

    with pytest.raises(TusCommunicationError) as unknown:
        stranger.upload()
    with pytest.raises(TusUploadFailed) as twice:
        done.upload_chunk()

    assert unknown.value.status_code == 401
    assert twice.value.status_code == 409
    assert b"go on from there" in twice.value.response_content
