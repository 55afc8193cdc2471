"""The floor: one asyncio process that writes with COPY. No queue, no recovery: the limit."""

import asyncio
import os
import sys

import psycopg

from bench.peers.stored import FINISH
from bench.peers.work import AT_ONCE, DATABASE_URL, STAGES, chunks, work_all

IN_A_COPY = 1000
COPY = "COPY results (run_id, stage, position, outcome) FROM STDIN"


async def run(connection: psycopg.AsyncConnection, run_id: str, contacts: int, mode: str) -> None:
    """Work both stages, with as many contacts at once as two workers of the others."""
    for stage in STAGES:
        for first, end in chunks(contacts, IN_A_COPY):
            outcomes = await work_all(stage, range(first, end), mode, 2 * AT_ONCE)
            async with connection.cursor() as cursor, cursor.copy(COPY) as copy:
                for position, outcome in zip(range(first, end), outcomes, strict=True):
                    await copy.write_row((run_id, stage, position, outcome))
            await connection.commit()
    await connection.execute(FINISH, (run_id,))
    await connection.commit()


async def main() -> None:
    """Do each run that is asked for, one after the other."""
    connection = await psycopg.AsyncConnection.connect(os.environ[DATABASE_URL])
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        run_id, contacts, mode = line.split()
        await run(connection, run_id, int(contacts), mode)


if __name__ == "__main__":
    asyncio.run(main())
