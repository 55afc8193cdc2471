"""Azure's storage, as its maker's emulator plays it: the same files, exports and sentences as with S3."""

import asyncio
import base64
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from models.database import Database
from pipeline.storage import Bucket
from pipeline.storage.bucket import PART_BYTES, StorageFault
from tests.azurite import NOT_INSTALLED, PROGRAM, Azurite, running_azurite
from tests.old_runs import OldRuns
from worker.sweeper.expire import expire_due

pytestmark = [pytest.mark.proof, pytest.mark.skipif(PROGRAM is None, reason=NOT_INSTALLED)]

CONTAINER = "exports"
URL = f"az://{CONTAINER}/some/prefix"
LARGE = 3 * PART_BYTES + 17


@pytest.fixture(scope="module")
def azurite(servers_home: Path) -> Iterator[Azurite]:
    with running_azurite(servers_home / "azurite") as server:
        server.create_container(CONTAINER)
        yield server


@pytest.fixture
def bucket(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name, value in azurite.environment().items():
        monkeypatch.setenv(name, value)
    return Bucket(URL)


def written(bucket: Bucket, content: bytes) -> str:
    key = bucket.new_key(uuid4(), "contacts.csv")
    file = bucket.create(key, "text/csv")
    for start in range(0, len(content), 1_000_000):
        file.write(content[start : start + 1_000_000])
    file.finish()
    return key


def is_there(bucket: Bucket, key: str) -> bool:
    try:
        asyncio.run(bucket.size(key))
    except FileNotFoundError:
        return False
    return True


@pytest.mark.parametrize("size", [0, 7, LARGE], ids=["empty", "small", "in parts"])
def test_a_file_comes_back_as_it_was_written_also_a_part_of_it(bucket: Bucket, size: int) -> None:
    content = os.urandom(size)

    key = written(bucket, content)

    assert asyncio.run(bucket.size(key))[0] == size
    for start in {0, size // 2} if size else ():
        assert asyncio.run(bucket.read(key, start, size - start)) == content[start:]


def test_a_file_that_is_abandoned_is_never_there(bucket: Bucket) -> None:
    key = bucket.new_key(uuid4(), "contacts.csv")
    file = bucket.create(key, "text/csv")
    file.write(os.urandom(LARGE))

    file.abandon()

    assert not is_there(bucket, key)


def test_files_are_deleted_and_deleting_one_that_is_not_there_is_no_error(bucket: Bucket) -> None:
    keys = [written(bucket, b"content") for _ in range(3)]

    bucket.delete([keys[0], "no-such-file", keys[1]])

    assert [is_there(bucket, key) for key in keys] == [False, False, True]


def test_doctor_finds_nothing_wrong_and_a_container_that_does_not_exist(bucket: Bucket) -> None:
    assert (bucket.find_trouble(), bucket.find_write_trouble()) == (None, None)
    missing = Bucket("az://no-such-container/prefix")
    sentence = "az://no-such-container/prefix: there is no such bucket (ContainerNotFound)"
    for trouble in (missing.find_trouble(), missing.find_write_trouble()):
        assert str(trouble).startswith(sentence)


def test_a_key_that_is_refused_is_called_so_and_never_shown(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = base64.b64encode(b"x" * 32).decode()
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", wrong)

    with pytest.raises(StorageFault, match="refuses the key") as refused:
        written(bucket, b"content")

    assert wrong not in str(refused.value)


def test_a_runs_exports_are_written_there_and_expire(
    bucket: Bucket, database: Database, redis_client: redis.Redis, tmp_path: Path
) -> None:
    runs = OldRuns(database, redis_client, tmp_path, bucket.url)

    run_id = runs.stopped_run("cancelled")

    with database.transaction() as session:
        keys = list(session.connection().exec_driver_sql("SELECT storage_key FROM artifacts").scalars())
    assert len(keys) == 2
    assert all(is_there(bucket, key) for key in keys)
    assert expire_due(runs.expirer())
    assert runs.state(run_id)["export_handles"] == []
    assert not any(is_there(bucket, key) for key in keys)


def test_a_storage_that_refuses_connections_is_called_unreachable(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURITE_BLOB_STORAGE_URL", "http://127.0.0.1:9")

    assert "it can't be reached: check the network" in str(bucket.find_write_trouble())
