"""A worker process that was frozen before it finished its files wakes up when they are nobody's any more.

A real process, stopped with SIGSTOP. Its lease ends meanwhile, and nothing can keep it from completing its objects.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psutil
import pytest
from sqlalchemy import text

from models.run import Run
from models.run_chunk import COMPILE
from tests.factories import WORKER
from tests.faults.engine import wait_until
from tests.integration.runs.test_exporting import OF_COMPLETED, looked_up_run
from tests.integration.storage.conftest import OwnBucket
from tests.integration.storage.test_exports_in_a_bucket import (
    content_of,
    erase_first,
    make_due,
    named,
    names,
    noted,
    sweep,
)
from tests.old_runs import OldRuns
from worker.compile import compile_run
from worker.process import Process
from worker.sweeper.expire import expire_due

pytestmark = pytest.mark.proof

FREEZING_S = 30


class FrozenWriter:
    """A worker process that has sent all but the end of its files."""

    def __init__(self, run_id: UUID, *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.integration.storage.freezing_writer", str(run_id), *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_until(self._is_frozen, "a writer that is frozen", seconds=FREEZING_S)

    def wake(self) -> str:
        """Let it go on, and end. Returns what it wrote."""
        os.kill(self._process.pid, signal.SIGCONT)
        return self._process.communicate(timeout=FREEZING_S)[0].decode()

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def _is_frozen(self) -> bool:
        assert self._process.poll() is None, "it has ended"
        return psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED


@contextmanager
def frozen_writer(run_id: UUID, *arguments: str) -> Iterator[FrozenWriter]:
    writer = FrozenWriter(run_id, *arguments)
    try:
        yield writer
    finally:
        writer.end()


def take_over(runs: OldRuns, run_id: UUID, stage: str = "") -> None:
    """The lease of the frozen writer ends, and another worker writes the files."""
    with runs.database.transaction() as session:
        session.execute(text("UPDATE runs SET export_retry_at = now() WHERE export_retry_at IS NOT NULL"))
        if stage:
            session.execute(
                text("UPDATE run_chunks SET lease_expires_at = now() - interval '1 second' WHERE stage = :stage"),
                {"stage": stage},
            )


@pytest.mark.parametrize("meanwhile", ["erased", "expired", "written by another"])
def test_what_a_woken_writer_completes_is_deleted_and_never_handed_out(
    process: Process, runs: OldRuns, own: OwnBucket, meanwhile: str
) -> None:
    run_id = runs.unexported_run("cancelled")

    with frozen_writer(run_id, "export") as writer:
        if meanwhile == "erased":
            erase_first(runs, run_id)
        elif meanwhile == "expired":
            assert expire_due(runs.expirer())
        else:
            take_over(runs, run_id)
            runs.export(run_id)
        sweep(runs, own)
        while_frozen, handed_out = own.files(), named(runs.database)
        output = writer.wake()
    sweep(runs, own)

    assert "the lease on its export files is gone" in output
    assert while_frozen == handed_out
    assert own.files() == named(runs.database)
    if meanwhile == "written by another":
        assert own.files() == handed_out
        assert names(own, run_id) == ["contacts.csv", "contacts.json"]
    else:
        assert all("Given0" not in content_of(own, key).decode() for key in own.files())


def test_what_a_writer_completes_and_dies_is_deleted_although_its_keys_were_deleted_before(
    process: Process, runs: OldRuns, own: OwnBucket
) -> None:
    run_id = runs.unexported_run("cancelled")

    with frozen_writer(run_id, "export", "dies") as writer:
        assert expire_due(runs.expirer())
        sweep(runs, own)
        while_frozen, remembered = own.files(), noted(runs.database)
        writer.wake()
    appeared = own.files()
    make_due(runs.database)
    sweep(runs, own)

    assert while_frozen == []
    assert len(remembered) == 2
    assert appeared == sorted(remembered)
    assert own.files() == []


def test_a_run_that_another_worker_compiled_keeps_those_files_when_the_first_one_wakes_up(
    process: Process, runs: OldRuns, own: OwnBucket
) -> None:
    run_id = looked_up_run(runs.database)

    with frozen_writer(run_id, "compile") as writer:
        take_over(runs, run_id, COMPILE)
        compile_run(process, run_id, WORKER)
        handed_out = named(runs.database)
        output = writer.wake()
    sweep(runs, own)

    assert "another worker compiles the run" in output
    assert own.files() == named(runs.database) == handed_out
    assert names(own, run_id) == OF_COMPLETED
    with runs.database.transaction() as session:
        assert session.get_one(Run, run_id).status == "completed"
