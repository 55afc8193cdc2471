"""Asks Redis for many requests at once: what comes while an answer is awaited goes out together with the next question.

A client that polls needs one round trip. A thousand that poll at the same time need a few. A batch is one call of a
script: a command of its own for each counter and each copy would cost this process more than the rest of an answer.
"""

import asyncio
import itertools
from collections import defaultdict
from typing import Any, NamedTuple
from uuid import UUID

import redis
from redis.asyncio import Redis

from pipeline.runs.live_state import key_of

SECONDS = 60
"""What requests are counted for."""


# KEYS: counters, then copies. ARGV: the seconds of a counter, how many counters there are, then what each counts.
# An error stands in the place of its answer: whoever may not write can still read.
ASK = """
local answers, counters = {}, tonumber(ARGV[2])
for place = 1, counters do
  local count = redis.pcall('INCRBY', KEYS[place], ARGV[2 + place])
  redis.pcall('EXPIRE', KEYS[place], ARGV[1], 'NX')
  answers[2 * place - 1], answers[2 * place] = count, redis.pcall('TTL', KEYS[place])
end
for place = counters + 1, #KEYS do
  answers[counters + place] = redis.pcall('HMGET', KEYS[place], 'version', 'state')
end
return answers
"""


class Copy(NamedTuple):
    """The live copy of a run's state."""

    version: int
    body: bytes


class Counted(NamedTuple):
    """The number of a request within its minute, and the seconds that are left of that."""

    number: int
    left: int


class _Batch:
    """What is asked for together, and who waits for it."""

    def __init__(self) -> None:
        self.counts: defaultdict[UUID, list[asyncio.Future[Counted]]] = defaultdict(list)
        self.copies: defaultdict[tuple[UUID, UUID], list[asyncio.Future[Copy | None]]] = defaultdict(list)


class RedisBatches:
    """Counts requests and reads live copies. Used from the event loop only."""

    def __init__(self, server: Redis) -> None:
        self._script = server.register_script(ASK)
        self._next = _Batch()
        self._asking: asyncio.Task[None] | None = None

    def count(self, account_id: UUID) -> "asyncio.Future[Counted]":
        """Count a request of an account. The future may raise `redis.RedisError`."""
        counted: asyncio.Future[Counted] = asyncio.get_running_loop().create_future()
        self._next.counts[account_id].append(counted)
        self._ask()
        return counted

    def copy_of(self, account_id: UUID, run_id: UUID) -> "asyncio.Future[Copy | None]":
        """The live copy of an account's run; None if there is none. The future may raise `redis.RedisError`."""
        copy: asyncio.Future[Copy | None] = asyncio.get_running_loop().create_future()
        self._next.copies[account_id, run_id].append(copy)
        self._ask()
        return copy

    def _ask(self) -> None:
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_until_done())

    async def _ask_until_done(self) -> None:
        try:
            while self._next.counts or self._next.copies:
                batch, self._next = self._next, _Batch()
                await self._ask_for(batch)
        finally:
            self._asking = None

    async def _ask_for(self, batch: _Batch) -> None:
        keys = [f"growth:requests:{account_id}" for account_id in batch.counts]
        keys += [key_of(account_id, run_id) for account_id, run_id in batch.copies]
        numbers = [SECONDS, len(batch.counts), *map(len, batch.counts.values())]
        try:
            answers = iter(await self._script(keys, numbers))
        except Exception as error:  # noqa: BLE001 - whoever waits must be told, whatever it is
            answers = itertools.repeat(error)
        for counted in batch.counts.values():
            _number(counted, next(answers), next(answers))
        for copies in batch.copies.values():
            _hand_out(copies, next(answers))


def _number(waiting: "list[asyncio.Future[Counted]]", count: Any, left: Any) -> None:
    """Give each request its number."""
    for place, each in enumerate(waiting, start=1):
        if each.done():
            continue
        if isinstance(count, int) and isinstance(left, int):
            each.set_result(Counted(count - len(waiting) + place, left))
        else:
            each.set_exception(_failure(count))


def _hand_out(waiting: "list[asyncio.Future[Copy | None]]", answer: Any) -> None:
    for each in waiting:
        if each.done():
            continue
        if isinstance(answer, BaseException):
            each.set_exception(_failure(answer))
        else:
            version, body = answer
            each.set_result(None if version is None or body is None else Copy(int(version), body))


def _failure(answer: Any) -> redis.RedisError:
    return answer if isinstance(answer, redis.RedisError) else redis.ConnectionError(type(answer).__name__)
