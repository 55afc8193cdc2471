"""A worker process that freezes itself before it finishes a file, as if it were stopped at the worst moment.

`python -m tests.integration.storage.freezing_writer RUN_ID export|compile [dies]`; with `dies` it is killed once it has
woken up and finished its files, before it can hand them out or find that it must not.
"""

import os
import signal
import sys
from collections.abc import Callable
from threading import Event
from uuid import UUID

import worker.compile
import worker.export
from pipeline.storage.bucket import BucketFile
from worker.process import open_process

WORKER = "frozen@test/1"


def main() -> None:
    """Write the files of a run, once the process was woken up."""
    run_id, what, *how = sys.argv[1:]
    BucketFile.finish = _frozen_before(BucketFile.finish)  # type: ignore[method-assign]
    if how == ["dies"]:
        worker.export._hand_out = _die  # noqa: SLF001
    process = open_process(Event())
    if what == "export":
        worker.export.export_stopped_run(process, UUID(run_id), WORKER)
    else:
        worker.compile.compile_run(process, UUID(run_id), WORKER)
    process.close()


def _frozen_before(finish: Callable[[BucketFile], None]) -> Callable[[BucketFile], None]:
    files = [0]

    def frozen_then_finished(file: BucketFile) -> None:
        files[0] += 1
        if files[0] == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        finish(file)

    return frozen_then_finished


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
