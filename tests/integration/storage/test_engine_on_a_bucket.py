"""The whole engine with a bucket: API, worker and sweeper as processes."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cli.local.stack import Ports, Stack, running_stack
from models.database import Database, open_database
from sandbox.internet import Internet
from tests.faults.engine import wait_until
from tests.integration.conftest import Client, Population, opened_client
from tests.integration.storage.conftest import OwnBucket
from tests.integration.storage.test_exports_in_a_bucket import content_of, named
from tests.seaweedfs import SeaweedFS

pytestmark = pytest.mark.proof

PEOPLE = 20
OLD_FILES_GONE_S = 30


@pytest.fixture(scope="module")
def bucket(seaweedfs: SeaweedFS) -> OwnBucket:
    seaweedfs.create_bucket("engine")
    return OwnBucket(seaweedfs, "engine")


@pytest.fixture(scope="module")
def engine(internet: Internet, bucket: OwnBucket, servers_home: Path) -> Iterator[Stack]:
    settings = {**internet.settings(), **bucket.server.environment(), "EXPORT_STORAGE": bucket.url}
    with running_stack(servers_home / "on-a-bucket", Ports(api=0, flower=0), processes=1, settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def engine_database(engine: Stack) -> Iterator[Database]:
    database = open_database(engine.database_url)
    yield database
    database.close()


@pytest.fixture
def mine(engine: Stack, engine_database: Database) -> Iterator[Client]:
    with opened_client(engine, engine_database) as client:
        yield client


@pytest.fixture
def another(engine: Stack, engine_database: Database) -> Iterator[Client]:
    with opened_client(engine, engine_database) as client:
        yield client


def test_files_are_written_downloaded_and_written_again_without_whom_is_erased(
    mine: Client, another: Client, population: Population, bucket: OwnBucket, engine_database: Database
) -> None:
    people = population.hundred[:PEOPLE]
    run_id, other_run_id = mine.create(people), another.create(people)
    state, _ = mine.finished(run_id), another.finished(other_run_id)
    (handle,) = [handle for handle in state["export_handles"] if handle["format"] == "csv"]
    before = [key for key in bucket.files() if key.startswith(run_id)]

    whole = mine.http.get(handle["download_url"])
    part = mine.http.get(handle["download_url"], headers={"Range": "bytes=10-19"})
    theirs = another.http.get(f"/api/v1/growth/runs/{run_id}/exports/contacts_csv")
    person = {"first_name": people[0].first_name, "last_name": people[0].last_name, "domain": people[0].domain}
    erased = mine.http.post("/api/v1/growth/erasures", json={"people": [person]})
    wait_until(
        lambda: bucket.files() == named(engine_database) and not {*bucket.files()} & {*before},
        "the files without the erased person, and none of before",
        seconds=OLD_FILES_GONE_S,
    )

    assert (whole.status_code, len(whole.content), whole.text.count("\n")) == (200, handle["bytes"], PEOPLE + 1)
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert theirs.status_code == 404
    assert erased.status_code == 200
    assert httpx.get(mine.http.base_url.join(handle["download_url"])).status_code == 403
    again = mine.http.get(f"/api/v1/growth/runs/{run_id}/exports/contacts_csv")
    assert again.text.count("\n") == PEOPLE
    of_mine = b"".join(content_of(bucket, key) for key in bucket.files() if key.startswith(run_id)).decode()
    of_others = b"".join(content_of(bucket, key) for key in bucket.files() if key.startswith(other_run_id)).decode()
    assert people[0].crm_id not in of_mine
    assert people[0].crm_id in of_others
