"""Tells those who wait for a run's next state: those who ask with `?wait=30`, and streams.

Redis announces each new state (`pipeline.runs.live_state`). All who watch a run in this process share one reader, which
also looks from time to time: an announcement may get lost, and Redis may be away or not announce at all.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from api.live.redis_batches import Copy
from api.live.states import States
from models.postgres_errors import PostgresUnavailable
from pipeline.runs.live_state import channel

LOOK_EACH_S = 2.0
NOT_FASTER_THAN_S = 0.2
"""More states a second than this nobody can see."""
LISTEN_S = 30.0
LISTEN_AGAIN_S = 1.0

log = logging.getLogger(__name__)


class Feed:
    """The states of one run, for all who watch it."""

    def __init__(self, states: States, key: tuple[UUID, UUID]) -> None:
        self._states = states
        self.key = key
        """The run's account and the run."""
        self._announced = asyncio.Event()
        self._changed = asyncio.Event()
        self._latest: Copy | None = None
        self._failed: Exception | None = None
        self._reading: asyncio.Task[None] | None = None
        self.watchers = 0

    async def newer_than(self, version: int) -> Copy:
        """The first state that is newer, as soon as there is one. Raises what reading it raised."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_on())
        while self._latest is None or self._latest.version <= version:
            if self._failed:
                raise self._failed
            await self._changed.wait()
        return self._latest

    def announce(self) -> None:
        """There is a new state."""
        self._announced.set()

    def close(self) -> None:
        if self._reading:
            self._reading.cancel()

    async def _read_on(self) -> None:
        try:
            while True:
                self._announced.clear()
                await self._read_once()
                await asyncio.sleep(NOT_FASTER_THAN_S)
                try:
                    async with asyncio.timeout(LOOK_EACH_S):
                        await self._announced.wait()
                except TimeoutError:
                    pass
        except Exception as error:  # noqa: BLE001 - those who watch raise it
            self._failed = error
            self._tell()

    async def _read_once(self) -> None:
        try:
            copy = await self._states.read(*self.key)
        except PostgresUnavailable:
            return  # They wait. `States` says so in the log.
        if self._latest is None or copy.version > self._latest.version:
            self._latest = copy
            self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Watching:
    """The runs that are watched in this process. Used from the event loop only."""

    def __init__(self, states: States, server: Redis) -> None:
        self._states, self._server = states, server
        self._feeds: dict[tuple[UUID, UUID], Feed] = {}
        self._channels: dict[bytes, Feed] = {}
        self._watchers: Counter[UUID] = Counter()
        self._wanted = asyncio.Event()

    def watchers_of(self, account_id: UUID) -> int:
        """How many streams and waiting requests of an account are open."""
        return self._watchers[account_id]

    @contextmanager
    def feed(self, account_id: UUID, run_id: UUID) -> Iterator[Feed]:
        """The states of a run, until the block ends."""
        feed = self.join(account_id, run_id)
        try:
            yield feed
        finally:
            self.leave(feed)

    @contextmanager
    def place(self, account_id: UUID) -> Iterator[None]:
        """Count a stream of an account that watches no single run, until the block ends."""
        self._watchers[account_id] += 1
        try:
            yield
        finally:
            self._leave(account_id)

    def join(self, account_id: UUID, run_id: UUID) -> Feed:
        """The states of a run, until `leave` is called."""
        feed = self._feeds.get((account_id, run_id)) or self._open((account_id, run_id))
        feed.watchers += 1
        self._watchers[account_id] += 1
        return feed

    def leave(self, feed: Feed) -> None:
        """One of those who joined watches no more."""
        feed.watchers -= 1
        self._leave(feed.key[0])
        if not feed.watchers and self._feeds.get(feed.key) is feed:
            self._end(feed)

    def _leave(self, account_id: UUID) -> None:
        self._watchers[account_id] -= 1
        if not self._watchers[account_id]:
            del self._watchers[account_id]

    def _open(self, key: tuple[UUID, UUID]) -> Feed:
        feed = self._feeds[key] = Feed(self._states, key)
        self._channels[channel(key[1]).encode()] = feed
        self._wanted.set()
        return feed

    def _end(self, feed: Feed) -> None:
        feed.close()
        del self._feeds[feed.key], self._channels[channel(feed.key[1]).encode()]
        self._wanted.set()

    async def listen(self) -> None:
        """Listen to the announcements of the runs that are watched, until cancelled."""
        while True:
            try:
                await self._listen_on_one_connection()
            except* Exception as errors:  # noqa: BLE001 - whatever it is, those who watch look from time to time
                log.warning("announcements of states are not heard: %s", type(errors.exceptions[0]).__name__)
            await asyncio.sleep(LISTEN_AGAIN_S)

    async def _listen_on_one_connection(self) -> None:
        ending = asyncio.Event()
        async with self._server.pubsub() as announcements, asyncio.TaskGroup() as tasks:
            await announcements.connect()
            subscribing = tasks.create_task(self._subscribe(announcements, ending))
            try:
                while True:
                    self._hear(await announcements.get_message(timeout=LISTEN_S))
            finally:
                # Before Python 3.12 `asyncio.wait_for`, with which redis-py sends, may lose a cancellation.
                ending.set()
                self._wanted.set()
                subscribing.cancel()

    async def _subscribe(self, announcements: PubSub, ending: asyncio.Event) -> None:
        """Subscribe to what is watched, as it changes."""
        subscribed: set[bytes] = set()
        while not ending.is_set():
            self._wanted.clear()
            wanted = set(self._channels)
            if new := wanted - subscribed:
                await announcements.subscribe(*new)
            if gone := subscribed - wanted:
                await announcements.unsubscribe(*gone)
            subscribed = wanted
            await self._wanted.wait()

    def _hear(self, message: Mapping[str, Any] | None) -> None:
        """Have the run read: a new state is announced, or from now on will be."""
        if message and (feed := self._channels.get(message["channel"])):
            feed.announce()
