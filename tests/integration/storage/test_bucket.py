"""A bucket of a real server takes files in parts and gives them back; what goes wrong is said in a sentence."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from cli.doctor.command import diagnose
from cli.doctor.finding import Finding
from pipeline.storage import Bucket, Folder, open_storage
from pipeline.storage.bucket import PART_BYTES, StorageFault
from settings import Settings, UnusableSettings, read_settings
from tests.integration.storage.conftest import OwnBucket
from tests.seaweedfs import READER, READER_SECRET, SeaweedFS, running_seaweedfs

LARGE = 3 * PART_BYTES + 17
PIECE = 1_000_000
MOST_MEMORY = 150_000_000
IN_TIME_S = 90
"""Within this a storage that does not answer has failed an attempt."""


def pieces(size: int) -> Iterator[bytes]:
    for start in range(0, size, PIECE):
        yield os.urandom(min(PIECE, size - start))


def written(bucket: Bucket, content: bytes) -> str:
    key = bucket.new_key(uuid4(), "contacts.csv")
    file = bucket.create(key, "text/csv")
    file.write(content)
    file.finish()
    return key


def fault_of_write(bucket: Bucket) -> StorageFault:
    with pytest.raises(StorageFault) as raised:
        written(bucket, b"content")
    return raised.value


def exports_finding(url: str, tmp_path: Path) -> Finding:
    settings = Settings(export_storage=url, export_dir=tmp_path)
    return next(finding for finding in diagnose(settings, tmp_path, None) if finding.what == "Exports")


@pytest.fixture
def another_server(servers_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SeaweedFS]:
    """A server that a test may kill."""
    with running_seaweedfs(servers_home / f"seaweedfs-{uuid4().hex}") as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        server.create_bucket("mine")
        yield server


def test_a_file_of_several_parts_appears_when_it_is_finished_and_is_read_back_in_any_part(own: OwnBucket) -> None:
    bucket, content = own.open(), b"".join(pieces(LARGE))
    key = bucket.new_key(uuid4(), "contacts.csv")

    file = bucket.create(key, "text/csv")
    for start in range(0, LARGE, PIECE):
        file.write(content[start : start + PIECE])
    before = own.files()
    file.finish()

    assert (before, own.files(), own.unfinished()) == ([], [key], [])
    assert asyncio.run(bucket.size(key))[0] == LARGE
    assert asyncio.run(bucket.read(key, 0, LARGE)) == content
    assert asyncio.run(bucket.read(key, PART_BYTES - 3, 6)) == content[PART_BYTES - 3 : PART_BYTES + 3]


def test_memory_does_not_grow_with_the_size_of_files(own: OwnBucket) -> None:
    """300 MB in five files at once, as a run with several formats has them."""
    bucket, this_process = own.open(), psutil.Process()
    files = [bucket.create(bucket.new_key(uuid4(), "contacts.csv"), "text/csv") for _ in range(5)]
    before, most = this_process.memory_info().rss, 0

    for piece in pieces(60 * PIECE):
        for file in files:
            file.write(piece[:-8] + os.urandom(8))
        most = max(most, this_process.memory_info().rss)
    for file in files:
        file.finish()

    assert len(own.files()) == 5
    assert most - before < MOST_MEMORY


def test_a_file_that_is_abandoned_leaves_nothing(own: OwnBucket) -> None:
    bucket = own.open()
    file = bucket.create(bucket.new_key(uuid4(), "contacts.csv"), "text/csv")
    for piece in pieces(LARGE):
        file.write(piece)
    parts = own.unfinished()

    file.abandon()

    assert len(parts) == 1
    assert (own.files(), own.unfinished()) == ([], [])


def test_files_are_deleted_and_deleting_one_that_is_not_there_is_no_error(own: OwnBucket) -> None:
    bucket = own.open()
    keys = [written(bucket, b"content") for _ in range(3)]

    bucket.delete([*keys[:2], "no-such-file"])
    bucket.delete(keys[:2])

    assert own.files() == keys[2:]


def test_a_file_that_is_not_there_is_missing_and_no_fault_of_the_storage(own: OwnBucket) -> None:
    for look in (own.open().size("no-such-file"), own.open().read("no-such-file", 0, 1)):
        with pytest.raises(FileNotFoundError):
            asyncio.run(look)  # type: ignore[arg-type]


def test_a_bucket_that_does_not_exist_is_named_whatever_is_done_with_it(own: OwnBucket) -> None:
    missing = Bucket("s3://no-such-bucket/prefix")

    fault = fault_of_write(missing)
    with pytest.raises(StorageFault) as of_delete:
        missing.delete(["file"])

    assert fault.reason == of_delete.value.reason == "NoSuchBucket"
    assert "s3://no-such-bucket/prefix: there is no such bucket" in str(fault)


@pytest.mark.parametrize(
    ("key", "secret", "reason"),
    [
        ("unknown-key", "secret", "InvalidAccessKeyId"),
        ("example-key", "wrong-secret", "SignatureDoesNotMatch"),
        (READER, READER_SECRET, "AccessDenied"),
    ],
    ids=["unknown key", "wrong secret", "no right to write"],
)
def test_a_key_that_is_refused_is_called_so_and_never_shown(
    own: OwnBucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str, secret: str, reason: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)

    fault = fault_of_write(own.open())

    assert fault.reason == reason
    assert "refuses the key" in str(fault)
    assert exports_finding(own.url, tmp_path).sentence == str(fault)
    assert secret not in str(fault)


def test_a_machine_without_a_key_is_told_which_variables_to_set(
    own: OwnBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    # Where Amazon's machines get their keys.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")

    fault = fault_of_write(own.open())

    assert fault.reason == "no_key"
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY." in str(fault)


def test_doctor_writes_reads_and_deletes_a_file(own: OwnBucket, tmp_path: Path) -> None:
    finding = exports_finding(own.url, tmp_path)

    assert finding.is_fine
    assert finding.sentence == f"files can be written in {own.url}."
    assert own.files() == []


def test_a_key_that_may_only_read_is_enough_for_the_api(own: OwnBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", READER_SECRET)

    assert own.open().find_trouble() is None


def test_a_storage_that_refuses_connections_fails_quickly(own: OwnBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    fault = fault_of_write(own.open())

    assert fault.reason == "unreachable"
    assert "check AWS_ENDPOINT_URL and the network" in str(fault)


@pytest.mark.proof
def test_a_storage_that_never_answers_fails_an_attempt_in_bounded_time(
    another_server: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_server.freeze()
    began = time.monotonic()

    fault = fault_of_write(Bucket("s3://mine"))
    took = time.monotonic() - began
    another_server.thaw()

    assert fault.reason == "unreachable"
    assert took < IN_TIME_S


def test_a_storage_that_dies_while_a_file_is_sent_has_no_file(another_server: SeaweedFS) -> None:
    bucket = Bucket("s3://mine")
    file = bucket.create("run/contacts.csv", "text/csv")
    for piece in pieces(LARGE):
        file.write(piece)
    another_server.kill()

    with pytest.raises(StorageFault) as raised:
        for piece in pieces(LARGE):
            file.write(piece)
        file.finish()
    file.abandon()
    another_server.start()

    assert raised.value.reason == "unreachable"
    assert another_server.keys("mine") == []


@pytest.mark.parametrize(
    "url",
    [
        "bucket",
        "s3://",
        "s3://key:secret@bucket",
        "https://example.test/bucket",
        "file://host/folder",
        "s3://bucket/../other?x=1",
        "ftp://bucket",
    ],
)
def test_a_url_that_is_none_of_a_storage_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(UnusableSettings) as refused:
        read_settings(export_storage=url)

    assert "EXPORT_STORAGE is not usable: it must be s3://bucket/prefix" in str(refused.value)


def test_urls_of_every_vendor_are_buckets_and_a_file_url_is_a_folder(tmp_path: Path) -> None:
    for url in ("s3://bucket", "gs://bucket/prefix", "az://container/a/prefix"):
        assert str(open_storage(read_settings(export_storage=url).export_storage, tmp_path)) == url
    folder = open_storage(read_settings(export_storage=f"{tmp_path.as_uri()}/with%20space").export_storage, Path())
    assert isinstance(folder, Folder)
    assert folder.directory == tmp_path / "with space"
    assert str(open_storage("", tmp_path)) == str(tmp_path)
