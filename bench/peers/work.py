"""The pretended work, the same for peers and engine. Standard library only: both environments import it.

Mode Z answers at once. Mode S waits 20 ms for a contact, for at most 100 contacts at once in a worker process.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence

DATABASE_URL = "BENCH_DATABASE_URL"
REDIS_URL = "BENCH_REDIS_URL"
WORK_LOG = "BENCH_WORK_LOG"
"""Environment variables of the programs. The last one names a file, for the benchmark of recovery: work that begins is
noted there, and so is work that is done twice."""

STAGES = ("email_lookup", "email_verify")
IN_A_CHUNK = 200
WAIT_S, AT_ONCE = 0.02, 100
DONE = "ok"

_log: list[int] = []


def note_begun(stage: str, position: int) -> None:
    """Note that the work on a contact begins: a mail server would be asked now."""
    if path := os.environ.get(WORK_LOG):
        if not _log:
            _log.append(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
        os.write(_log[0], f"{stage} {position} {os.getpid()} {time.monotonic()}\n".encode())


def work(stage: str, position: int, mode: str) -> str:
    """Work one contact, and wait in the thread."""
    note_begun(stage, position)
    if mode == "S":
        time.sleep(WAIT_S)
    return DONE


async def work_all(stage: str, positions: Sequence[int], mode: str, at_once: int = AT_ONCE) -> list[str]:
    """Work many contacts, so many at once; their outcomes in the order of the positions."""
    outcomes = [DONE] * len(positions)
    if mode != "S":
        for position in positions:
            note_begun(stage, position)
        return outcomes
    left = iter(positions)

    async def one_after_the_other() -> None:
        for position in left:
            note_begun(stage, position)
            await asyncio.sleep(WAIT_S)

    await asyncio.gather(*(one_after_the_other() for _ in range(min(at_once, len(positions)))))
    return outcomes


def chunks(contacts: int, size: int = IN_A_CHUNK) -> Iterator[tuple[int, int]]:
    """The first position of each chunk, and the one after its last."""
    return ((first, min(first + size, contacts)) for first in range(0, contacts, size))
