"""The deliverer: an event loop that leases streams of messages and sends these. Several may run beside each other.

It has connections of its own, and each receiver costs a task of the loop: however many hang, the others get theirs.
"""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from models.connections import IN_THE_BACKGROUND
from models.database import Database, open_database
from models.postgres_errors import PostgresUnavailable
from pipeline.hooks.deliveries import (
    Attempt,
    LeasedStream,
    Outgoing,
    add_progress,
    lease_streams,
    next_message,
    record_attempt,
    release_stream,
)
from pipeline.mail.dns.routes import Resolver
from pipeline.results.links import Links
from pipeline.runs.trouble import fault_of, place_of
from settings import Settings
from settings.mail import has_ipv6_route, nameservers_of
from worker.hooks.sender import Sender

LOOK_EVERY_S = 0.5
PROGRESS_LOOK_S = 2.0
LATER_S = 5.0
"""The pause after a look that failed."""
AT_ONCE = 400
"""Streams that a process delivers at the same time."""
TURN_S = 20.0
"""How long a stream with many messages is delivered before others of its hook get their turn."""
RESERVE_S = 45.0
"""What a lease is longer than a request may take."""
STOP_S = 3.0
"""How long deliveries may go on after SIGTERM. What is cut is delivered again, once its lease has ended."""
RECORD_AGAIN_S = 1.0

log = logging.getLogger(__name__)

T = TypeVar("T")


def keep_delivering(settings: Settings, stopping: threading.Event) -> None:
    """Deliver messages until `stopping` is set."""
    database = open_database(
        settings.database_url, pool_size=2, application_name="growth-hooks", timeouts=IN_THE_BACKGROUND
    )
    try:
        asyncio.run(_deliver(settings, database, stopping))
    except Exception as error:  # noqa: BLE001 - the thread ends; whoever reads the log must know
        log.error("hooks get no messages: %s, %s", fault_of(error), place_of(error))
    finally:
        database.close()


async def _deliver(settings: Settings, database: Database, stopping: threading.Event) -> None:
    resolver = Resolver(
        nameservers_of(settings), allow_private=settings.hook_allow_private, ipv6=has_ipv6_route(), time_limit=10.0
    )
    sender = Sender(resolver, settings.hook_timeout_seconds)
    deliverer = Deliverer(database, sender, settings.hook_timeout_seconds + RESERVE_S, Links.of(settings))
    await deliverer.run(stopping)
    await sender.close()
    await resolver.close()


class Deliverer:
    """Delivers what is due. Transactions run in two threads, so that Postgres never holds up the loop."""

    def __init__(self, database: Database, sender: Sender, lease_s: float, links: Links) -> None:
        self._database = database
        self._sender = sender
        self._lease_s = lease_s
        self._links = links
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="hooks")
        self._waiting = ThreadPoolExecutor(1, thread_name_prefix="hooks-waiting")
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: Counter[UUID] = Counter()
        self._progress_at = 0.0
        self._is_stopping = False

    async def run(self, stopping: threading.Event) -> None:
        """Look for what is due, again and again, until `stopping` is set."""
        while not stopping.is_set():
            pause = LOOK_EVERY_S if await self.look() else LATER_S
            # A thread waits for it: the event is that of the whole process.
            await asyncio.get_running_loop().run_in_executor(self._waiting, stopping.wait, pause)
        self._is_stopping = True
        await self.finish(STOP_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False)
        self._waiting.shutdown(wait=False)

    async def look(self) -> bool:
        """Begin to deliver what is due now; return whether that could be found out."""
        try:
            for stream in await self._in_transaction(self._find_due):
                self._begin(stream)
        except PostgresUnavailable as error:
            log.warning("hooks wait: Postgres is unavailable: %s", error)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not end the thread
            log.error("hooks wait: %s, %s", fault_of(error), place_of(error))
        else:
            return True
        return False

    async def finish(self, seconds: float | None = None) -> None:
        """Wait until what was begun is delivered or put off, at most so long."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    def _find_due(self, session: Session) -> list[LeasedStream]:
        if time.monotonic() >= self._progress_at:
            add_progress(session)
            self._progress_at = time.monotonic() + PROGRESS_LOOK_S
        room = AT_ONCE - len(self._tasks)
        return list(lease_streams(session, dict(self._busy), room, self._lease_s)) if room > 0 else []

    def _begin(self, stream: LeasedStream) -> None:
        task = asyncio.create_task(self._work(stream))
        self._busy[stream.hook_id] += 1
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._end(done, stream))

    def _end(self, task: asyncio.Task[None], stream: LeasedStream) -> None:
        self._tasks.discard(task)
        self._busy[stream.hook_id] -= 1
        if not self._busy[stream.hook_id]:
            del self._busy[stream.hook_id]

    async def _work(self, stream: LeasedStream) -> None:
        """Deliver messages of a stream until none is left, one fails, or others should get their turn."""
        until = time.monotonic() + TURN_S
        try:
            while message := await self._in_transaction(
                lambda session: next_message(session, stream, self._lease_s, self._links)
            ):
                attempt = await self._sender.send(message)
                goes_on = await self._record(stream, message, attempt)
                if not goes_on or self._is_stopping or time.monotonic() > until:
                    break
            else:
                return
            if goes_on:
                await self._in_transaction(lambda session: release_stream(session, stream))
        except PostgresUnavailable as error:
            log.warning("hook %s, run %s: delivered later: %s", stream.hook_id, stream.run_id, error)
        except Exception as error:  # noqa: BLE001 - a bug of ours costs this stream a lease
            where = f"hook {stream.hook_id}, run {stream.run_id}"
            log.error("%s: delivered later: %s, %s", where, fault_of(error), place_of(error))

    async def _record(self, stream: LeasedStream, message: Outgoing, attempt: Attempt) -> bool:
        """Record what came of an attempt. While Postgres is away try again, for as long as the lease lasts."""
        until = time.monotonic() + self._lease_s
        if attempt.problem:
            where = f"hook {stream.hook_id}, run {stream.run_id}, delivery {message.id}"
            log.info("%s: attempt %s: %s", where, message.attempt, attempt.problem)
        while True:
            try:
                return await self._in_transaction(lambda session: record_attempt(session, stream, message, attempt))
            except PostgresUnavailable:
                if self._is_stopping or time.monotonic() > until:
                    raise
            await asyncio.sleep(RECORD_AGAIN_S)

    async def _in_transaction(self, step: Callable[[Session], T]) -> T:
        def work() -> T:
            with self._database.transaction() as session:
                return step(session)

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
