"""Files of runs in a bucket: in it is what artifacts name, and nothing else once the sweeper has looked."""

import csv
import hashlib
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import obstore
import pytest
from sqlalchemy import select, text

from models.artifact import Artifact
from models.database import Database
from models.events import EventKind
from models.partitions import make_week, week_of
from models.queries import events_of_run, files_of_run
from models.run import Run
from models.schema import new_id
from models.stored_file import StoredFile
from pipeline.errors import LeaseLost
from pipeline.privacy.erasure import Wanted, erase_contacts
from pipeline.results import stored_files
from pipeline.results.export_lease import add_formats, void_exports
from pipeline.storage import Bucket
from pipeline.storage.bucket import PART_BYTES, BucketFile, StorageFault
from tests.factories import WORKER
from tests.integration.runs.test_exporting import OF_COMPLETED, end_pauses, kinds, looked_up_run, stopping
from tests.integration.storage.conftest import OwnBucket
from tests.old_runs import OldRuns, clock_shows, rows_of
from tests.seaweedfs import SeaweedFS, running_seaweedfs
from worker.compile import compile_run
from worker.export import export_stopped_run
from worker.process import Process
from worker.sweeper.bucket import delete_due
from worker.sweeper.expire import expire_due

OTHER = "worker-2@test/2"


def named(database: Database) -> list[str]:
    """The keys that artifacts name."""
    with database.transaction() as session:
        keys = session.scalars(select(Artifact.storage_key).where(Artifact.storage_key.is_not(None)).distinct())
        return sorted(str(key) for key in keys)


def noted(database: Database) -> dict[str, bool]:
    """The keys that have rows, and whether an artifact is to keep their file."""
    with database.transaction() as session:
        return {file.key: file.delete_after is None for file in session.scalars(select(StoredFile))}


def names(own: OwnBucket, run_id: UUID) -> list[str]:
    return sorted(key.rpartition("/")[2].partition(".")[2] for key in own.files() if key.startswith(str(run_id)))


def make_due(database: Database) -> None:
    """As if all pauses were over."""
    with database.transaction() as session:
        session.execute(text("UPDATE stored_files SET delete_after = now() WHERE delete_after IS NOT NULL"))


def erase_first(runs: OldRuns, run_id: UUID) -> None:
    """Erase the first contact of a run."""
    with runs.database.transaction() as session:
        _, erased = erase_contacts(session, run_id, 0, [0], Wanted(), new_id())
    assert erased == 1


def sweep(runs: OldRuns, own: OwnBucket) -> int:
    return delete_due(runs.database, own.open())


def content_of(own: OwnBucket, key: str) -> bytes:
    return bytes(obstore.get(own.server.store(own.name), f"some/prefix/{key}").bytes())


@pytest.mark.parametrize("small", [2000, 2], ids=["small run", "streamed"])
def test_a_compiled_runs_files_are_in_the_bucket_as_their_artifacts_describe_them(
    process: Process, runs: OldRuns, own: OwnBucket, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr("worker.compile.SMALL", small)
    run_id = looked_up_run(runs.database)

    compile_run(process, run_id, WORKER)

    assert names(own, run_id) == OF_COMPLETED
    assert own.files() == named(runs.database) == sorted(noted(runs.database))
    assert all(noted(runs.database).values())
    with runs.database.transaction() as session:
        assert session.get_one(Run, run_id).status == "completed"
        files = [file for file in session.scalars(select(Artifact)) if file.storage_key]
        for file in files:
            content = content_of(own, str(file.storage_key))
            assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)
        (exported,) = [str(file.storage_key) for file in files if file.asset_id == "contacts_csv"]
    assert len(list(csv.reader(io.StringIO(content_of(own, exported).decode())))) == 4


def test_a_file_of_many_parts_is_streamed_whole(process: Process, runs: OldRuns, own: OwnBucket) -> None:
    run_id = runs.unexported_run("cancelled", count=2500)
    with runs.database.transaction() as session:
        session.execute(text("UPDATE contacts SET company = repeat('x', 5000)"))

    export_stopped_run(process, run_id, WORKER)

    with runs.database.transaction() as session:
        (file,) = session.scalars(select(Artifact).where(Artifact.asset_id == "contacts_csv"))
    content = content_of(own, str(file.storage_key))
    assert len(content) > 2 * PART_BYTES
    assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)
    assert own.unfinished() == []


def test_an_expired_run_has_no_file_left_and_no_row(runs: OldRuns, own: OwnBucket) -> None:
    run_id, kept = runs.completed_run(), runs.completed_run(days_ago=0)
    before = own.files()

    assert expire_due(runs.expirer())

    assert {key.partition("/")[0] for key in before} == {str(run_id), str(kept)}
    assert own.files() == named(runs.database) == sorted(noted(runs.database))
    assert {key.partition("/")[0] for key in own.files()} == {str(kept)}


def test_files_are_deleted_while_the_rows_wait_for_the_end_of_their_week(runs: OldRuns, own: OwnBucket) -> None:
    made = datetime.now(UTC) - timedelta(days=100)
    with runs.database.transaction() as session:
        assert make_week(session, week_of(made))
    with clock_shows(made):
        run_id = runs.completed_run(days_ago=99)
    assert own.files() != []

    assert expire_due(runs.expirer())

    assert (own.files(), noted(runs.database)) == ([], {})
    assert rows_of(runs.database, run_id)["contacts"] == 3


def test_runs_do_not_expire_while_their_files_can_not_be_deleted_but_are_retracted(
    runs: OldRuns, own: OwnBucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = runs.completed_run(days_ago=92), runs.completed_run(days_ago=91)
    with monkeypatch.context() as breaking:
        breaking.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")

        assert not expire_due(runs.expirer())

    assert f"run {first}: not expired, its export files can't be deleted: {own.url}: the storage refuses" in caplog.text
    assert f"run {second}: not expired, its export files can't be deleted: {own.url} failed a moment" in caplog.text
    assert [runs.state(run_id)["export_handles"] for run_id in (first, second)] == [[], []]
    assert len(own.files()) == 4
    assert expire_due(runs.expirer())
    assert (own.files(), noted(runs.database)) == ([], {})


def test_an_erasure_has_the_files_deleted_and_written_again_without_the_person(
    process: Process, runs: OldRuns, own: OwnBucket
) -> None:
    run_id = runs.completed_run(days_ago=0)
    before = own.files()

    erase_first(runs, run_id)
    swept = sweep(runs, own)
    after_sweep = own.files()
    export_stopped_run(process, run_id, WORKER)

    assert (swept, after_sweep) == (len(before), [])
    assert own.files() == named(runs.database) != []
    assert not set(own.files()) & set(before)
    contents = b"".join(content_of(own, key) for key in own.files()).decode()
    assert "Given1" in contents
    assert "Given0" not in contents


def test_files_that_are_written_again_replace_no_object_and_the_former_ones_go(
    process: Process, runs: OldRuns, own: OwnBucket
) -> None:
    run_id = runs.completed_run(days_ago=0)
    before = own.files()
    with runs.database.transaction() as session:
        void_exports(session, session.get_one(Run, run_id))

    export_stopped_run(process, run_id, WORKER)
    sweep(runs, own)

    assert own.files() == named(runs.database)
    assert not set(own.files()) & set(before)


def test_further_formats_leave_the_files_that_are_handed_out(process: Process, runs: OldRuns, own: OwnBucket) -> None:
    run_id = runs.completed_run(days_ago=0)
    before = own.files()
    with runs.database.transaction() as session:
        add_formats(session, session.get_one(Run, run_id).account_id, run_id, ["ndjson"])

    export_stopped_run(process, run_id, WORKER)
    sweep(runs, own)

    assert set(before) < set(own.files())
    assert own.files() == named(runs.database)
    assert "contacts.ndjson" in names(own, run_id)


def test_a_run_keeps_its_files_apart_from_those_of_other_accounts(runs: OldRuns, own: OwnBucket) -> None:
    mine, theirs = runs.completed_run(), runs.completed_run(days_ago=0)

    expire_due(runs.expirer())

    with runs.database.transaction() as session:
        assert files_of_run(session, mine) == []
        assert set(files_of_run(session, theirs)) == set(own.files())


@pytest.mark.parametrize("small", [2000, 2], ids=["small run", "streamed"])
def test_a_stopping_worker_leaves_compiling_to_another_and_no_file(
    process: Process, runs: OldRuns, own: OwnBucket, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr("worker.compile.SMALL", small)
    run_id = looked_up_run(runs.database)

    compile_run(stopping(process, 0), run_id, WORKER)
    sweep(runs, own)
    left = own.files()
    compile_run(process, run_id, OTHER)

    assert left == []
    assert own.files() == named(runs.database)
    assert names(own, run_id) == OF_COMPLETED


def happens_before_a_file_is_finished(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something else happen once before the last part of a file is sent."""
    left, finish = [happens], BucketFile.finish

    def finished(file: BucketFile) -> None:
        if left:
            left.pop()()
        finish(file)

    monkeypatch.setattr(BucketFile, "finish", finished)


@pytest.mark.parametrize("moment", ["another writes them", "a contact is erased", "the run expires"])
def test_a_writer_that_lost_its_right_hands_out_nothing_and_leaves_nothing(
    process: Process, runs: OldRuns, own: OwnBucket, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    run_id = runs.unexported_run("cancelled")

    def happens() -> None:
        if moment == "another writes them":
            with runs.database.transaction() as session:
                session.execute(text("UPDATE runs SET export_retry_at = now()"))
            export_stopped_run(process, run_id, OTHER)
        elif moment == "a contact is erased":
            erase_first(runs, run_id)
        else:
            assert expire_due(runs.expirer())

    happens_before_a_file_is_finished(monkeypatch, happens)

    export_stopped_run(process, run_id, WORKER)
    sweep(runs, own)

    assert own.files() == named(runs.database)
    assert bool(own.files()) == (moment != "the run expires")
    contents = b"".join(content_of(own, key) for key in own.files()).decode()
    if moment == "a contact is erased":
        assert "Given0" not in contents
        assert "Given1" in contents


def test_a_file_that_was_let_go_is_handed_out_by_nobody(runs: OldRuns) -> None:
    """Even if a lease were held: who deletes has noted it first."""
    run_id = runs.unexported_run("cancelled")
    with runs.database.transaction() as session:
        stored_files.intend(session, run_id, ["run/file.csv"])
    with runs.database.transaction() as session:
        stored_files.let_go(session, run_id)
    with runs.database.transaction() as session:
        assert stored_files.take_due(session) == ["run/file.csv"]

    with pytest.raises(LeaseLost), runs.database.transaction() as session:
        stored_files.hand_out(session, run_id, ["run/file.csv"])


def test_a_key_whose_writer_may_still_live_is_deleted_again_ever_more_rarely(runs: OldRuns, own: OwnBucket) -> None:
    """Its writer is frozen: what it completes later is found by one of these deletions."""
    run_id, key = runs.unexported_run("cancelled"), "run/contacts.csv"
    with runs.database.transaction() as session:
        stored_files.intend(session, run_id, [key])
        stored_files.let_go(session, run_id)
    pauses = []
    for _ in range(14):
        assert sweep(runs, own) == 1
        with runs.database.transaction() as session:
            due = select(StoredFile.delete_after - text("now()"))
            pauses.append(round(session.scalars(due).one().total_seconds() / 60))
        obstore.put(own.server.store(own.name), f"some/prefix/{key}", b"Given0 Family0")

        make_due(runs.database)

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 720, 720, 720, 720]
    with runs.database.transaction() as session:
        session.execute(text("UPDATE stored_files SET may_appear_until = may_appear_until - interval '31 days'"))
    sweep(runs, own)
    assert (own.files(), noted(runs.database)) == ([], {})


def test_a_file_that_its_writer_completes_while_it_is_deleted_is_deleted_again(runs: OldRuns, own: OwnBucket) -> None:
    """The sweeper has deleted nothing yet when the object appears, and its writer then finds that it is nobody's."""
    run_id, key = runs.unexported_run("cancelled"), "run/contacts.csv"
    with runs.database.transaction() as session:
        stored_files.intend(session, run_id, [key])
        stored_files.let_go(session, run_id)
    with runs.database.transaction() as session:
        taken = stored_files.take_due(session)
    own.open().delete(taken)
    obstore.put(own.server.store(own.name), f"some/prefix/{key}", b"Given0 Family0")
    with runs.database.transaction() as session:
        stored_files.drop(session, [key], are_finished=True)
    with runs.database.transaction() as session:
        stored_files.forget(session, taken)

    assert (own.files(), sweep(runs, own), own.files()) == ([key], 1, [])
    assert noted(runs.database) == {}


def test_a_writer_that_died_is_followed_by_one_that_has_its_files_deleted(
    process: Process, runs: OldRuns, own: OwnBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = runs.unexported_run("cancelled")

    class Killed(BaseException):
        """The process dies here, and does nothing any more."""

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr("worker.export._hand_out", die)
        dying.setattr("worker.export._drop", lambda *_, **__: None)
        with pytest.raises(Killed):
            export_stopped_run(process, run_id, WORKER)
    left = own.files()
    end_pauses(runs.database)

    export_stopped_run(process, run_id, OTHER)
    sweep(runs, own)

    assert len(left) == 2
    assert own.files() == named(runs.database)
    assert not set(left) & set(own.files())


def test_what_a_writer_without_a_successor_left_is_deleted_after_a_day(runs: OldRuns, own: OwnBucket) -> None:
    run_id = runs.unexported_run("cancelled")
    with runs.database.transaction() as session:
        stored_files.intend(session, run_id, ["run/contacts.csv"])
    obstore.put(own.server.store(own.name), "some/prefix/run/contacts.csv", b"content")

    too_early = sweep(runs, own)
    with runs.database.transaction() as session:
        session.execute(text("UPDATE stored_files SET delete_after = delete_after - interval '1 day'"))

    assert (too_early, sweep(runs, own)) == (0, 1)
    assert own.files() == []


def test_no_file_is_deleted_that_an_artifact_names(runs: OldRuns, own: OwnBucket) -> None:
    runs.completed_run(days_ago=0)
    with runs.database.transaction() as session:
        session.execute(text("UPDATE stored_files SET delete_after = now()"))

    assert sweep(runs, own) == 0
    assert own.files() == named(runs.database) != []


def test_files_that_were_copied_from_a_folder_are_deleted_with_their_run(runs: OldRuns, own: OwnBucket) -> None:
    in_folder = OldRuns(runs.database, runs.redis, runs.exports)
    run_id = in_folder.completed_run()
    for path in sorted(runs.exports.rglob("*.*")):
        key = f"some/prefix/{path.relative_to(runs.exports)}"
        obstore.put(own.server.store(own.name), key, path.read_bytes())
    copied = own.files()

    with runs.database.transaction() as session:
        stored_files.adopt(session)
    adopted = noted(runs.database)
    expire_due(runs.expirer())

    assert copied == [f"{run_id}/contacts.csv", f"{run_id}/contacts.json"] == sorted(adopted)
    assert all(adopted.values())
    assert own.files() == []


@pytest.fixture
def mortal(servers_home: Path) -> Iterator[SeaweedFS]:
    """A server that a test may kill."""
    with running_seaweedfs(servers_home / f"seaweedfs-{uuid4().hex}") as server:
        server.create_bucket("mine")
        yield server


def test_a_storage_that_dies_half_way_has_no_file_registered_and_the_next_try_writes_them_all(
    mortal: SeaweedFS, process: Process, runs: OldRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", mortal.endpoint)
    own = OwnBucket(mortal, "mine")
    in_mine = OldRuns(runs.database, runs.redis, runs.exports, own.url)
    run_id = in_mine.unexported_run("cancelled", count=2500)
    with runs.database.transaction() as session:
        session.execute(text("UPDATE contacts SET company = repeat('x', 5000)"))
    write, written = BucketFile.write, [0]

    def dies_half_way(file: BucketFile, data: bytes) -> None:
        written[0] += len(data)
        if written[0] > 2 * PART_BYTES and mortal.is_running:
            mortal.kill()
        write(file, data)

    with in_mine.process() as worker, monkeypatch.context() as breaking:
        breaking.setattr(BucketFile, "write", dies_half_way)
        export_stopped_run(worker, run_id, WORKER)
    state = in_mine.state(run_id)
    mortal.start()
    half, end_of_first = own.files(), kinds(runs.database, run_id)[-1]
    with runs.database.transaction() as session:
        reasons = [e.detail["reason"] for e in events_of_run(session, run_id) if e.kind == EventKind.EXPORT_FAILED]
    end_pauses(runs.database)
    in_mine.export(run_id)
    sweep(in_mine, own)

    assert (state["export_handles"], half, end_of_first) == ([], [], EventKind.EXPORT_FAILED)
    assert reasons == ["unreachable"]
    assert own.files() == named(runs.database)
    assert [handle["rows"] for handle in in_mine.state(run_id)["export_handles"]] == [2500, 2500]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong-secret", "SignatureDoesNotMatch"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "unreachable"),
    ],
    ids=["wrong secret", "unreachable"],
)
def test_a_run_waits_while_its_bucket_takes_no_files_and_says_why(
    runs: OldRuns, own: OwnBucket, monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    run_id = looked_up_run(runs.database)
    with monkeypatch.context() as breaking:
        breaking.setenv(name, value)
        with runs.process() as broken:
            compile_run(broken, run_id, WORKER)
    with runs.database.transaction() as session:
        status = session.get_one(Run, run_id).status
    message = runs.state(run_id)["progress"]["message"]
    end_pauses(runs.database)
    with runs.process() as mended:
        compile_run(mended, run_id, OTHER)
    sweep(runs, own)

    assert (status, deferrals(runs.database, run_id)) == ("running", [reason])
    assert "The export files can't be written yet; the next try is at " in message
    assert runs.state(run_id)["status"] == "completed"
    assert own.files() == named(runs.database)


def test_attempts_during_an_outage_leave_one_set_of_rows(
    runs: OldRuns, own: OwnBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of runs may be tried every few seconds for days."""
    run_id = looked_up_run(runs.database)
    with runs.process() as process:
        with monkeypatch.context() as breaking:
            breaking.setattr(BucketFile, "finish", fails)
            breaking.setattr(Bucket, "try_out", fails)
            for _ in range(3):
                compile_run(process, run_id, WORKER)
                end_pauses(runs.database)
        attempts, rows = len(deferrals(runs.database, run_id)), len(noted(runs.database))
        compile_run(process, run_id, WORKER)

    assert (attempts, rows) == (3, len(OF_COMPLETED))
    assert runs.state(run_id)["status"] == "completed"


def fails(_self: object) -> None:
    raise StorageFault("unreachable", "it can't be reached")


def deferrals(database: Database, run_id: UUID) -> list[str]:
    with database.transaction() as session:
        deferred = [event for event in events_of_run(session, run_id) if event.kind == "chunk_deferred"]
    return [reason for event in deferred for reason in event.detail["reasons"]]


def test_a_bucket_that_is_missing_fails_an_attempt_with_a_sentence(
    runs: OldRuns, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = OldRuns(runs.database, runs.redis, runs.exports, "s3://no-such-bucket")
    run_id = elsewhere.unexported_run("cancelled")

    elsewhere.export(run_id)

    assert "s3://no-such-bucket: there is no such bucket (NoSuchBucket): create it, or correct EXPORT" in caplog.text
    assert kinds(runs.database, run_id)[-1] == EventKind.EXPORT_FAILED
