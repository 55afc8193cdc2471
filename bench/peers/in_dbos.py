"""DBOS: a workflow for a run, whose children are workflows of 200 contacts with a step for each stage.

It polls its queues and results once a second by default; a tenth of that here favours it. `worker NAME` starts a
worker, `submit` submits runs.
"""

import os
import sys
import threading

from dbos import DBOS, DBOSClient

from bench.peers.stored import FINISH, UPSERT_ALL, execute
from bench.peers.work import DATABASE_URL, STAGES, chunks, work_all

POLL_S = 0.1


@DBOS.step()
async def work_stage(run_id: str, stage: str, first: int, end: int, mode: str) -> None:
    """Work a chunk's stage, and store it in one statement."""
    positions = list(range(first, end))
    await execute(UPSERT_ALL, run_id, stage, positions, await work_all(stage, positions, mode))


@DBOS.step()
async def finish(run_id: str) -> None:
    """Complete the run."""
    await execute(FINISH, run_id)


@DBOS.workflow()
async def work_chunk(run_id: str, first: int, end: int, mode: str) -> None:
    """Bring a chunk through both stages."""
    for stage in STAGES:
        await work_stage(run_id, stage, first, end, mode)


@DBOS.workflow()
async def work_run(run_id: str, contacts: int, mode: str) -> None:
    """Enqueue all chunks, wait for them, and complete the run."""
    bounds = chunks(contacts)
    handles = [await DBOS.enqueue_workflow_async("chunks", work_chunk, run_id, *each, mode) for each in bounds]
    for handle in handles:
        await handle.get_result(polling_interval_sec=POLL_S)
    await finish(run_id)


def serve(name: str) -> None:
    """Work until the process is ended."""
    DBOS(
        config={
            "name": "peer",
            "system_database_url": os.environ[DATABASE_URL],
            "executor_id": name,
            "application_version": "1",
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
    DBOS.register_queue("runs", polling_interval_sec=POLL_S)
    DBOS.register_queue("chunks", worker_concurrency=1, polling_interval_sec=POLL_S)
    print("worker ready", flush=True)
    threading.Event().wait()


def submit() -> None:
    """Enqueue each run that is asked for."""
    client = DBOSClient(system_database_url=os.environ[DATABASE_URL])
    print("ready", flush=True)
    for line in sys.stdin:
        run_id, contacts, mode = line.split()
        options = {"queue_name": "runs", "workflow_name": "work_run", "workflow_id": run_id}
        client.enqueue(options, run_id, int(contacts), mode)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        serve(sys.argv[2])
    else:
        submit()
