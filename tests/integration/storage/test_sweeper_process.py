"""The sweeper process deletes from the bucket what nobody hands out."""

import threading
from collections.abc import Mapping
from pathlib import Path

import obstore
import pytest

from models.database import open_database
from models.run import Run
from pipeline.results import stored_files
from pipeline.results.export_lease import void_exports
from tests.integration.runs.test_retention import is_expired, sweeper, wait_until
from tests.integration.storage.conftest import OwnBucket
from tests.integration.storage.test_exports_in_a_bucket import make_due, named, noted
from tests.integration.storage.test_frozen_writer import frozen_writer
from tests.old_runs import OldRuns
from worker.process import Process
from worker.sweeper.bucket import delete_due

pytestmark = pytest.mark.proof

SWEEPERS, FILES = 3, 60


@pytest.fixture
def environment(own: OwnBucket, database_url: str, valkey_url: str) -> Mapping[str, str]:
    return {
        **own.server.environment(),
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "EXPORT_STORAGE": own.url,
    }


def test_it_deletes_files_that_became_void_and_those_of_runs_that_expire(
    runs: OldRuns, own: OwnBucket, environment: Mapping[str, str], tmp_path: Path
) -> None:
    old, void, kept = runs.completed_run(), runs.completed_run(days_ago=0), runs.completed_run(days_ago=0)
    log = tmp_path / "sweeper.log"
    with runs.database.transaction() as session:
        void_exports(session, session.get_one(Run, void))

    with sweeper(environment, log):
        wait_until(lambda: is_expired(runs.database, old) and own.files() == named(runs.database), log)

    assert {key.partition("/")[0] for key in own.files()} == {str(kept)}
    assert sorted(noted(runs.database)) == own.files()


def test_it_deletes_what_a_writer_that_died_completed_after_its_run_had_expired(
    process: Process, runs: OldRuns, own: OwnBucket, environment: Mapping[str, str], tmp_path: Path
) -> None:
    run_id, log = runs.unexported_run("cancelled"), tmp_path / "sweeper.log"

    with frozen_writer(run_id, "export", "dies") as writer, sweeper(environment, log):
        wait_until(lambda: is_expired(runs.database, run_id), log)
        writer.wake()
        appeared = own.files()
        make_due(runs.database)
        wait_until(lambda: own.files() == [], log)

    assert len(appeared) == 2


def test_several_sweepers_at_once_delete_each_file(runs: OldRuns, own: OwnBucket, database_url: str) -> None:
    run_id, store = runs.unexported_run("cancelled"), own.server.store(own.name)
    keys = [f"{run_id}/{number}.csv" for number in range(FILES)]
    with runs.database.transaction() as session:
        stored_files.intend(session, run_id, keys)
    for key in keys:
        obstore.put(store, f"some/prefix/{key}", b"content")
    with runs.database.transaction() as session:
        stored_files.drop(session, keys, are_finished=True)
    databases = [open_database(database_url, pool_size=1) for _ in range(SWEEPERS)]
    deleted: list[int] = []
    threads = [
        threading.Thread(target=lambda each=each: deleted.append(delete_due(each, own.open()))) for each in databases
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in databases:
        each.close()

    assert len(deleted) == SWEEPERS
    assert (own.files(), noted(runs.database)) == ([], {})
