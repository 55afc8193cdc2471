"""Asks Redis for many requests at once: what comes while an answer is awaited goes out together with the next question.

A client that polls needs one round trip. A thousand that poll at the same time need a few. A batch is one call of a
script: a command of its own for each counter and each copy would cost this process more than the rest of an answer.
"""

import asyncio
import itertools
from collections import defaultdict
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import redis
from redis.asyncio import Redis

from pipeline.runs.live_state import key_of

SECONDS = 60
"""What requests are counted for."""

T = TypeVar("T")

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


class Read(NamedTuple):
    """A read of a run: its number, and the run's live copy. None stands for what Redis did not give."""

    counted: Counted | None
    copy: Copy | None


class _Counting:
    """The requests of an account in a batch, each at its place among them."""

    __slots__ = ("count", "left", "requests", "waiting")

    def __init__(self) -> None:
        self.requests = 0
        self.waiting: list[tuple[int, asyncio.Future[Counted]]] = []
        self.count: Any = None
        self.left: Any = None

    def next_place(self) -> int:
        self.requests += 1
        return self.requests

    def number(self, place: int) -> Counted | redis.RedisError:
        if isinstance(self.count, int) and isinstance(self.left, int):
            return Counted(self.count - self.requests + place, self.left)
        return _failure(self.count)


class _Copying:
    """Who waits for a live copy: alone, or together with the request's number."""

    __slots__ = ("alone", "reads")

    def __init__(self) -> None:
        self.alone: list[asyncio.Future[Copy | None]] = []
        self.reads: list[tuple[asyncio.Future[Read], _Counting, int]] = []


class _Batch:
    """What is asked for together, and who waits for it."""

    __slots__ = ("copies", "counts")

    def __init__(self) -> None:
        self.counts: defaultdict[UUID, _Counting] = defaultdict(_Counting)
        self.copies: defaultdict[str, _Copying] = defaultdict(_Copying)


class RedisBatches:
    """Counts requests and reads live copies. Used from the event loop only."""

    def __init__(self, server: Redis) -> None:
        self._script = server.register_script(ASK)
        self._next = _Batch()
        self._asking: asyncio.Task[None] | None = None

    def count(self, account_id: UUID) -> "asyncio.Future[Counted]":
        """Count a request of an account. The future may raise `redis.RedisError`."""
        counted: asyncio.Future[Counted] = asyncio.get_running_loop().create_future()
        counting = self._next.counts[account_id]
        counting.waiting.append((counting.next_place(), counted))
        self._ask()
        return counted

    def copy_of(self, account_id: UUID, run_id: UUID) -> "asyncio.Future[Copy | None]":
        """The live copy of an account's run; None if there is none. The future may raise `redis.RedisError`."""
        copy: asyncio.Future[Copy | None] = asyncio.get_running_loop().create_future()
        self._next.copies[key_of(account_id, run_id)].alone.append(copy)
        self._ask()
        return copy

    def read(self, account_id: UUID, key: str) -> "asyncio.Future[Read]":
        """Count a request of an account, and read the live copy that has this key. No error of Redis is raised."""
        read: asyncio.Future[Read] = asyncio.get_running_loop().create_future()
        counting = self._next.counts[account_id]
        self._next.copies[key].reads.append((read, counting, counting.next_place()))
        self._ask()
        return read

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
        keys += batch.copies
        numbers = [SECONDS, len(batch.counts), *(counting.requests for counting in batch.counts.values())]
        try:
            answers = iter(await self._script(keys, numbers))
        except Exception as error:  # noqa: BLE001 - whoever waits must be told, whatever it is
            answers = itertools.repeat(error)
        for counting in batch.counts.values():
            counting.count, counting.left = next(answers), next(answers)
            for place, counted in counting.waiting:
                _tell(counted, counting.number(place))
        for copying in batch.copies.values():
            _hand_out(copying, _copy_in(next(answers)))


def _hand_out(copying: _Copying, copy: Copy | redis.RedisError | None) -> None:
    for alone in copying.alone:
        _tell(alone, copy)
    for read, counting, place in copying.reads:
        _tell(read, Read(_unless_failed(counting.number(place)), _unless_failed(copy)))


def _copy_in(answer: Any) -> Copy | redis.RedisError | None:
    if isinstance(answer, BaseException):
        return _failure(answer)
    version, body = answer
    return None if version is None or body is None else Copy(int(version), body)


def _tell(waiting: "asyncio.Future[T]", answer: T | redis.RedisError) -> None:
    if waiting.done():
        return
    if isinstance(answer, redis.RedisError):
        waiting.set_exception(answer)
    else:
        waiting.set_result(answer)


def _unless_failed(answer: T | redis.RedisError) -> T | None:
    return None if isinstance(answer, redis.RedisError) else answer


def _failure(answer: Any) -> redis.RedisError:
    return answer if isinstance(answer, redis.RedisError) else redis.ConnectionError(type(answer).__name__)
