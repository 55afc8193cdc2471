"""Procrastinate: a job for 200 contacts and a stage, which defers the next stage's job.

The chunk that completes the run, which a count in its row tells, defers the last job. Jobs of dead workers are looked
for every ten seconds, which favours it: its guide does so every ten minutes. `schema` creates its tables, `worker`
starts a worker, `submit` submits runs.
"""

import asyncio
import os
import sys

from procrastinate import App, JobContext, PsycopgConnector

from bench.peers.stored import CONNECTIONS, FINISH, UPSERT_ALL, async_pool, execute
from bench.peers.work import DATABASE_URL, STAGES, chunks, work_all

QUEUE = "work"
COUNT_NEW = """
UPDATE runs SET done = done + %s WHERE run_id = %s RETURNING done
"""

app = App(connector=PsycopgConnector(conninfo=os.environ[DATABASE_URL], min_size=1, max_size=CONNECTIONS))


@app.task(name="work_chunk", queue=QUEUE)
async def work_chunk(run_id: str, contacts: int, number: int, first: int, end: int, mode: str) -> None:
    """Work a chunk's stage, store it, and defer what comes next."""
    outcomes = await work_all(STAGES[number], range(first, end), mode)
    done = await store(run_id, number, list(range(first, end)), outcomes)
    if number + 1 < len(STAGES):
        await work_chunk.defer_async(
            run_id=run_id, contacts=contacts, number=number + 1, first=first, end=end, mode=mode
        )
    elif done >= contacts:
        await finish.defer_async(run_id=run_id)


async def store(run_id: str, number: int, positions: list[int], outcomes: list[str]) -> int:
    """Store outcomes; after the last stage, count those that are new, and return how many contacts are done."""
    await async_pool().open()
    async with async_pool().connection() as connection:
        stored = await connection.execute(
            UPSERT_ALL + " RETURNING (xmax = 0)::int", (run_id, STAGES[number], positions, outcomes)
        )
        new = sum(is_new for (is_new,) in await stored.fetchall())
        if number + 1 < len(STAGES):
            return 0
        counted = await connection.execute(COUNT_NEW, (new, run_id))
        return int((await counted.fetchone() or (0,))[0])


@app.task(name="finish", queue=QUEUE)
async def finish(run_id: str) -> None:
    """Complete the run."""
    await execute(FINISH, run_id)


@app.periodic(cron="* * * * * */10")
@app.task(name="retry_stalled_jobs", queue=QUEUE, queueing_lock="retry_stalled_jobs", pass_context=True)
async def retry_stalled_jobs(_context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - periodic tasks get it
    """Retry the jobs of workers that are gone."""
    for job in await app.job_manager.get_stalled_jobs():
        await app.job_manager.retry_job(job)


async def create_schema() -> None:
    """Create Procrastinate's tables."""
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def serve() -> None:
    """Work until the process is ended."""
    async with app.open_async():
        print("worker ready", flush=True)
        await app.run_worker_async(queues=[QUEUE], concurrency=1)


async def submit() -> None:
    """Defer the first stage of each run that is asked for."""
    async with app.open_async():
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            run_id, contacts, mode = line.split()
            common = {"run_id": run_id, "contacts": int(contacts), "number": 0, "mode": mode}
            jobs = ({**common, "first": first, "end": end} for first, end in chunks(int(contacts)))
            await work_chunk.batch_defer_async(*jobs)


if __name__ == "__main__":
    asyncio.run({"schema": create_schema, "worker": serve, "submit": submit}[sys.argv[1]]())
