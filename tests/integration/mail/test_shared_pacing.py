"""Processes that share their limits through a real Redis: turns, fairness, and a Redis that stops answering."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import redis

from cli.local.embedded import embedded_valkey
from pipeline.mail.pacing.slots import PacingLimits, Place
from worker.pacing.registry import PREFIX
from worker.pacing.shared import PROCESSES_ASSUMED, RENEW_SECONDS, TIMEOUT_SECONDS, SharedPacing

BUSY, ELSEWHERE = Place("192.0.2.1", "big.example"), Place("192.0.2.2", "small.example")
PACE = 1_000_000.0


def run(scenario: Callable[[], Awaitable[None]], seconds: float = 30) -> None:
    async def limited() -> None:
        async with asyncio.timeout(seconds):
            await scenario()

    asyncio.run(limited())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - it is a state of a server without notifications
        await asyncio.sleep(0.01)


@asynccontextmanager
async def processes(url: str, number: int, per_host: int) -> AsyncIterator[list[SharedPacing]]:
    """Pacings as of several processes: only Redis connects them."""
    opened = [SharedPacing(url, PacingLimits(per_host, 100, PACE), total=100) for _ in range(number)]
    try:
        yield opened
    finally:
        for pacing in opened:
            await pacing.close()


class Host:
    """A mail host that counts its connections."""

    def __init__(self) -> None:
        self.at_once = self.most_at_once = 0
        self.served: list[SharedPacing] = []

    async def visit(self, pacing: SharedPacing, seconds: float = 0.01) -> None:
        slot = await pacing.acquire(BUSY)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.served.append(pacing)
        await asyncio.sleep(seconds)
        self.at_once -= 1
        pacing.release(slot, 1)


def test_all_processes_together_stay_within_the_limit_and_each_gets_its_turn(
    redis_client: redis.Redis, valkey_url: str
) -> None:
    host = Host()

    async def scenario() -> None:
        async with processes(valkey_url, 3, per_host=2) as workers:
            await asyncio.gather(*(host.visit(worker) for worker in workers for _ in range(20)))

    run(scenario)

    assert (host.most_at_once, len(host.served)) == (2, 60)


def test_a_process_with_one_contact_gets_a_slot_soon_beside_one_with_many(
    redis_client: redis.Redis, valkey_url: str
) -> None:
    host = Host()

    async def scenario() -> None:
        async with processes(valkey_url, 2, per_host=1) as (busy, small):
            crowd = [asyncio.create_task(host.visit(busy)) for _ in range(100)]
            await until(lambda: bool(host.served))
            before = len(host.served)
            await host.visit(small)
            for task in crowd:
                task.cancel()
            await asyncio.gather(*crowd, return_exceptions=True)

            assert host.served.index(small) - before <= 4

    run(scenario)


def test_a_free_slot_is_granted_without_waiting_for_the_next_poll(redis_client: redis.Redis, valkey_url: str) -> None:
    host = Host()

    async def scenario() -> None:
        async with processes(valkey_url, 2, per_host=1) as workers:
            started = time.monotonic()
            await asyncio.gather(*(host.visit(worker, 0.001) for worker in workers for _ in range(20)))

            assert time.monotonic() - started < 10, "with polls each second alone it would take 20 seconds or more"

    run(scenario)


def test_a_cancelled_task_leaves_neither_a_slot_nor_a_place_in_the_queue(
    redis_client: redis.Redis, valkey_url: str
) -> None:
    async def scenario() -> None:
        async with processes(valkey_url, 2, per_host=1) as (one, other):
            slot = await one.acquire(BUSY)
            waiting = [asyncio.create_task(other.acquire(BUSY)) for _ in range(3)]
            await until(lambda: redis_client.exists(f"{PREFIX}host:{BUSY.ip}:waiting") == 1)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            one.release(slot, 0)
            await one.flush()
            await other.flush()

            assert redis_client.keys(f"{PREFIX}host:*[dg]") == []

    run(scenario)


def test_a_complaint_in_one_process_slows_all_of_them(redis_client: redis.Redis, valkey_url: str) -> None:
    async def scenario() -> None:
        async with processes(valkey_url, 2, per_host=2) as (one, other):
            await one.slow_down(await one.acquire(BUSY))

            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await other.acquire(BUSY)

    run(scenario)


def test_a_complaint_counts_for_the_connections_at_its_time_even_if_others_have_closed_since(
    redis_client: redis.Redis, valkey_url: str
) -> None:
    async def scenario() -> None:
        async with processes(valkey_url, 2, per_host=8) as (first, second):
            other = await first.acquire(BUSY)
            refused = await second.acquire(BUSY)
            first.release(other, 1)
            second.release(refused, 0)
            await first.flush()
            await second.flush()

            assert await second.slow_down(refused)

    run(scenario)


def test_after_flushall_open_slots_are_registered_again(redis_client: redis.Redis, valkey_url: str) -> None:
    async def scenario() -> None:
        async with processes(valkey_url, 2, per_host=1) as (one, other):
            await one.acquire(BUSY)
            redis_client.flushall()
            await until(lambda: redis_client.exists(f"{PREFIX}host:{BUSY.ip}:held") == 1)

            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await other.acquire(BUSY)

    run(scenario, seconds=10 * RENEW_SECONDS)


def test_without_redis_each_process_keeps_to_its_share(caplog: pytest.LogCaptureFixture) -> None:
    host = Host()

    async def scenario() -> None:
        async with processes("redis://127.0.0.1:9/0", 2, per_host=2 * PROCESSES_ASSUMED) as workers:
            await asyncio.gather(*(host.visit(worker, 0.02) for worker in workers for _ in range(10)))

    run(scenario)

    assert (host.most_at_once, len(host.served)) == (2 * 2, 20)
    assert len([record for record in caplog.records if "keeps to its share" in record.message]) == 2, (
        "once for each process"
    )


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[tuple[str, redis.Redis]]:
    """A server for one test."""
    with embedded_valkey(tmp_path) as url, redis.Redis.from_url(url) as client:
        yield url, client


def test_while_redis_does_not_answer_each_process_keeps_to_its_share_and_later_slots_are_shared_again(
    own_valkey: tuple[str, redis.Redis],
) -> None:
    url, client = own_valkey
    server = psutil.Process(client.info("server")["process_id"])
    host = Host()

    async def scenario() -> None:
        async with processes(url, 2, per_host=4) as workers:
            await asyncio.gather(*(host.visit(worker) for worker in workers))
            await until(lambda: all(worker.processes == 2 for worker in workers))
            server.send_signal(signal.SIGSTOP)
            try:
                await asyncio.gather(*(host.visit(worker, 0.02) for worker in workers for _ in range(10)))
            finally:
                server.send_signal(signal.SIGCONT)
            await until(lambda: not any(worker.is_away for worker in workers))
            await workers[0].acquire(ELSEWHERE)

            assert client.zcard(f"{PREFIX}host:{ELSEWHERE.ip}:held") == 1

    run(scenario)

    assert (host.most_at_once, len(host.served)) == (4, 22), "each process knows that there are two"


def test_no_task_is_in_flight_after_a_flush_so_that_the_event_loop_may_stop(
    redis_client: redis.Redis, valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host()
    loop = asyncio.new_event_loop()
    workers = [SharedPacing(valkey_url, PacingLimits(1, 100, PACE), total=100) for _ in range(2)]

    async def chunk() -> None:
        await asyncio.gather(*(host.visit(worker) for worker in workers for _ in range(5)))
        await asyncio.gather(*(worker.flush() for worker in workers))

    async def close() -> None:
        async with asyncio.timeout(5):
            await asyncio.gather(*(worker.close() for worker in workers))

    loop.run_until_complete(chunk())
    in_flight = asyncio.all_tasks(loop)
    time.sleep(1.2 * TIMEOUT_SECONDS)
    loop.run_until_complete(chunk())
    loop.run_until_complete(close())
    loop.close()

    assert in_flight == set()
    assert (host.most_at_once, len(host.served), caplog.messages) == (1, 20, [])
