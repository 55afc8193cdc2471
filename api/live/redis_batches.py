"""Asks Redis for many requests at once: what comes while an answer is awaited goes out together with the next question.

A client that polls needs one round trip. A thousand that poll at the same time need a few.
"""

import asyncio
from collections import defaultdict
from typing import Any, NamedTuple
from uuid import UUID

import redis
from redis.asyncio import Redis

from pipeline.runs.live_state import key_of

SECONDS = 60
"""What requests are counted for."""


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
        self._server = server
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
        commands = self._server.pipeline(transaction=False)
        for account_id, waiting in batch.counts.items():
            key = f"growth:requests:{account_id}"
            commands.incrby(key, len(waiting))
            commands.expire(key, SECONDS, nx=True)
            commands.ttl(key)
        for account_id, run_id in batch.copies:
            commands.hmget(key_of(account_id, run_id), ["version", "state"])
        try:
            answers = iter(await commands.execute(raise_on_error=False))
        except Exception as error:  # noqa: BLE001 - whoever waits must be told, whatever it is
            answers = iter([error] * (3 * len(batch.counts) + len(batch.copies)))
        for counted in batch.counts.values():
            _number(counted, next(answers), next(answers), next(answers))
        for copies in batch.copies.values():
            _hand_out(copies, next(answers))


def _number(waiting: "list[asyncio.Future[Counted]]", count: Any, _expire: Any, left: Any) -> None:
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
