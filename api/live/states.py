"""The state of a run for its readers: the live copy, or built from rows where Redis has none.

No reader sees a state older than one seen before, though Redis may lose writes, or come back with old ones: each
process remembers the newest version of the runs that are read, and asks Postgres for all of them once a second.
"""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import redis

from api.live.redis_batches import Copy, RedisBatches
from api.live.threads import Threads
from api.resources import Resources
from models.postgres_errors import PostgresUnavailable
from models.queries import run_of_account, versions_of_runs
from models.run import Run
from pipeline.errors import UnknownRun
from pipeline.results.links import Links
from pipeline.runs import live_state
from pipeline.runs.live_state import LiveState, key_of

CHECK_EACH_S = 1.0
FORGET_AFTER_S = 10.0
"""Versions of runs that nobody reads are not asked for."""
MOST_RUNS = 20_000
WARN_EACH_S = 10.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class KnownRun:
    """An account's run that is read: the newest version of it that anybody saw."""

    id: UUID
    key: str
    """Of its live copy."""
    version: int
    read_at: float

    def saw(self, version: int) -> None:
        """A reader is shown this version: none may be shown an older one."""
        self.version = max(self.version, version)


class States:
    """Reads states. Used from the event loop only."""

    def __init__(self, resources: Resources, batches: RedisBatches, threads: Threads) -> None:
        self._resources, self._batches, self._threads = resources, batches, threads
        self._known: OrderedDict[tuple[UUID, str], KnownRun] = OrderedDict()
        self._building: dict[UUID, asyncio.Task[LiveState]] = {}
        self._publishing: set[asyncio.Task[None]] = set()
        self._warned_at = -math.inf

    async def read(self, account_id: UUID, run_id: UUID) -> Copy:
        """The state of an account's run. Raises `UnknownRun`, `PostgresUnavailable`."""
        known = await self._known_run(account_id, run_id)
        copy = await self._live_copy(account_id, run_id)
        if copy is None or copy.version < known.version:
            copy = await self._from_rows(run_id)
        if copy.version < known.version:
            # Another reader's look at the rows began before that version was there.
            copy = await self._from_rows(run_id)
        known.saw(copy.version)
        return copy

    def known(self, account_id: UUID, run_id: str) -> KnownRun | None:
        """An account's run, by its id as `str` writes it; None if only Postgres can tell how it is."""
        known, now = self._known.get((account_id, run_id)), time.monotonic()
        if known is None or now - known.read_at > FORGET_AFTER_S:
            return None
        known.read_at = now
        return known

    async def keep_current(self) -> None:
        """Ask for the versions of the runs that are read, each second, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_EACH_S)
            try:
                await self._check()
            except PostgresUnavailable as error:
                self._warn(f"states are not compared: Postgres is unavailable: {error}")

    def _warn(self, sentence: str) -> None:
        """Log a warning, but not one for each reader."""
        if time.monotonic() - self._warned_at > WARN_EACH_S:
            self._warned_at = time.monotonic()
            log.warning("%s", sentence)

    async def _known_run(self, account_id: UUID, run_id: UUID) -> KnownRun:
        key, now = (account_id, str(run_id)), time.monotonic()
        known = self._known.get(key)
        if known is None or now - known.read_at > FORGET_AFTER_S:
            version = await self._threads.run(self._version_of, account_id, run_id)
            known = self._known[key] = KnownRun(run_id, key_of(account_id, run_id), version, now)
        known.read_at = now
        self._known.move_to_end(key)
        if len(self._known) > MOST_RUNS:
            self._known.popitem(last=False)
        return known

    def _version_of(self, account_id: UUID, run_id: UUID) -> int:
        with self._resources.database.transaction() as session:
            run = run_of_account(session, run_id, account_id)
            if run is None:
                raise UnknownRun.with_this_id()
            return run.version

    async def _live_copy(self, account_id: UUID, run_id: UUID) -> Copy | None:
        try:
            return await self._batches.copy_of(account_id, run_id)
        except redis.RedisError as error:
            self._warn(f"states are read from Postgres: Redis is unavailable: {type(error).__name__}")
            return None

    async def _from_rows(self, run_id: UUID) -> Copy:
        """Build the state from its rows; many readers that ask at once share it."""
        building = self._building.get(run_id)
        if building is None:
            building = self._building[run_id] = asyncio.create_task(self._threads.run(self._build, run_id))
            building.add_done_callback(lambda done: self._publish(run_id, done))
        state = await asyncio.shield(building)
        return Copy(state.version, state.body.encode())

    def _build(self, run_id: UUID) -> LiveState:
        with self._resources.database.transaction() as session:
            return live_state.build(session, session.get_one(Run, run_id), Links.of(self._resources.settings))

    def _publish(self, run_id: UUID, built: "asyncio.Task[LiveState]") -> None:
        """Put the live copy back into Redis for later readers. Nobody waits for that."""
        del self._building[run_id]
        if built.cancelled() or built.exception():
            return
        seconds = self._resources.settings.live_state_seconds
        publishing = asyncio.create_task(
            self._threads.run(live_state.publish, self._resources.redis, built.result(), seconds)
        )
        self._publishing.add(publishing)
        publishing.add_done_callback(self._publishing.discard)

    async def _check(self) -> None:
        read_since = time.monotonic() - FORGET_AFTER_S
        read = {known.id: known for known in self._known.values() if known.read_at > read_since}
        if read:
            for run_id, version in (await self._threads.run(self._versions_of, [*read])).items():
                read[run_id].version = max(read[run_id].version, version)

    def _versions_of(self, run_ids: Sequence[UUID]) -> dict[UUID, int]:
        with self._resources.database.transaction() as session:
            return versions_of_runs(session, run_ids)
