"""A server that speaks S3, a bucket for each test, and runs whose files are in it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from models.database import Database
from pipeline.storage import Bucket
from tests.integration.broker.worker_process import opened_process
from tests.old_runs import OldRuns
from tests.seaweedfs import SeaweedFS, running_seaweedfs
from worker.process import Process


@dataclass(frozen=True)
class OwnBucket:
    """A bucket of this test alone. Files are below a prefix."""

    server: SeaweedFS
    name: str

    @property
    def url(self) -> str:
        return f"s3://{self.name}/some/prefix"

    def open(self) -> Bucket:
        return Bucket(self.url)

    def files(self) -> list[str]:
        """Keys of files, below the prefix."""
        return [key.removeprefix("some/prefix/") for key in self.server.keys(self.name)]

    def unfinished(self) -> list[str]:
        return self.server.unfinished(self.name)


@pytest.fixture(scope="session")
def seaweedfs(servers_home: Path) -> Iterator[SeaweedFS]:
    with running_seaweedfs(servers_home / "seaweedfs") as server:
        yield server


@pytest.fixture
def own(seaweedfs: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> OwnBucket:
    for name, value in seaweedfs.environment().items():
        monkeypatch.setenv(name, value)
    bucket = OwnBucket(seaweedfs, f"bucket-{uuid4().hex[:12]}")
    seaweedfs.create_bucket(bucket.name)
    return bucket


@pytest.fixture
def runs(own: OwnBucket, database: Database, redis_client: redis.Redis, tmp_path: Path) -> OldRuns:
    """Makes runs whose files are in the bucket."""
    return OldRuns(database, redis_client, tmp_path / "exports", own.url)


@pytest.fixture
def process(own: OwnBucket, database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    settings = {
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        # Celery keeps the first broker that it connects to. No test of this process has one listening there.
        "BROKER_URL": "redis://127.0.0.1:9/0",
        "EXPORT_STORAGE": own.url,
    }
    with opened_process(settings, monkeypatch) as opened:
        yield opened
