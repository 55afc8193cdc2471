"""Celery, as its guide has it: a chord for each stage, of tasks for 200 contacts each, or of a task for each contact.

`acks_late`, so that a dead worker's tasks are delivered again, once the broker's visibility timeout is over.
`python -m bench.peers.in_celery chunks|contacts` submits runs.
"""

import asyncio
import os
import sys

from celery import Celery, chord

from bench.peers.stored import FINISH, UPSERT, UPSERT_ALL, pool
from bench.peers.work import REDIS_URL, STAGES, chunks, work, work_all

VISIBILITY_S = "BENCH_VISIBILITY_SECONDS"
"""The environment variable for the visibility timeout; unset, it is Celery's own of an hour."""

app = Celery("bench.peers.in_celery", broker=os.environ.get(REDIS_URL), backend=os.environ.get(REDIS_URL))
app.conf.task_acks_late = True
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_prefetch_multiplier = int(os.environ.get("BENCH_PREFETCH", "4"))
if os.environ.get(VISIBILITY_S):
    app.conf.broker_transport_options = {
        "visibility_timeout": int(os.environ[VISIBILITY_S]),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    }


@app.task
def work_contact(run_id: str, stage: str, position: int, mode: str) -> None:
    """Work one contact."""
    outcome = work(stage, position, mode)
    with pool().connection() as connection:
        connection.execute(UPSERT, (run_id, stage, position, outcome))


@app.task
def work_chunk(run_id: str, stage: str, first: int, end: int, mode: str) -> None:
    """Work a chunk in one event loop, and store it in one statement."""
    positions = list(range(first, end))
    outcomes = asyncio.run(work_all(stage, positions, mode))
    with pool().connection() as connection:
        connection.execute(UPSERT_ALL, (run_id, stage, positions, outcomes))


@app.task
def start_stage(run_id: str, contacts: int, mode: str, number: int, by: str) -> None:
    """Send a stage; when it is done, the next one, or the end of the run."""
    stage = STAGES[number]
    if by == "chunks":
        tasks = [work_chunk.si(run_id, stage, first, end, mode) for first, end in chunks(contacts)]
    else:
        tasks = [work_contact.si(run_id, stage, position, mode) for position in range(contacts)]
    is_last = number + 1 == len(STAGES)
    chord(tasks)(finish.si(run_id) if is_last else start_stage.si(run_id, contacts, mode, number + 1, by))


@app.task
def finish(run_id: str) -> None:
    """Complete the run."""
    with pool().connection() as connection:
        connection.execute(FINISH, (run_id,))


def main() -> None:
    """Submit each run that is asked for."""
    print("ready", flush=True)
    for line in sys.stdin:
        run_id, contacts, mode = line.split()
        start_stage.delay(run_id, int(contacts), mode, 0, sys.argv[1])


if __name__ == "__main__":
    main()
