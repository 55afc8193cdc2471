"""The connections of one worker process, opened when it starts and closed when it ends."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

import redis

from models.connections import IN_THE_BACKGROUND
from models.database import Database, open_database
from models.redis_server import open_redis
from pipeline.lookup.providers.waterfall import Waterfall
from pipeline.mail.network import MailNetwork
from pipeline.mail.outage import Outage
from pipeline.mail.pacing.slots import PacingLimits
from pipeline.memory.verifications import Freshness
from pipeline.runs import live_state
from pipeline.runs.live_state import LiveState
from pipeline.stages import STAGES
from pipeline.storage import Storage, open_storage
from settings import Settings, load_settings, required
from settings.mail import mail_network_config
from settings.sources import OpenSources, sources_or_exit
from worker.adapters.provider_journal import PostgresJournal
from worker.adapters.redis_memory import RedisMemory
from worker.adapters.suppression_list import PostgresSuppressionList
from worker.at_work import AtWork
from worker.event_loop import Heart, end_tasks, start_loop, stop_loop
from worker.pacing.shared import SharedPacing

REDIS_TIMEOUT_S = 1.0
"""Short: nothing waits for the live copy."""

PLANNED = 0.75
"""The share of its conversations for which a process leases chunks. The rest lets a small run begin at once."""
POOL_SIZE = 4
"""Connections to Postgres that a process keeps; it may open as many again. A turn of a task needs one for moments."""

log = logging.getLogger(__name__)


class Flag(Protocol):
    """A flag that is set once and visible to all processes of a worker."""

    def is_set(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Process:
    """The connections of one worker process, and its event loop."""

    settings: Settings
    database: Database
    redis: redis.Redis
    storage: Storage
    network: MailNetwork
    loop: asyncio.AbstractEventLoop
    """Runs in a thread of its own, until the process is closed."""
    draining: Flag
    at_work: AtWork
    heart: Heart
    sources: OpenSources = field(default_factory=OpenSources)

    def sources_of(self, run_id: UUID) -> Waterfall:
        """The providers and files of the operator, with the journal of one run."""
        journal = PostgresJournal(self.database, run_id, self.sources.caps)
        return self.sources.sources.of_run(journal, PostgresSuppressionList(self.database, run_id))

    def publish(self, state: LiveState) -> None:
        """Write the live copy of a run, once the transaction that changed the run is committed."""
        live_state.publish(self.redis, state, self.settings.live_state_seconds)

    def outage(self, failures_before: int) -> Outage | None:
        """The outage, if neither any mail server nor any provider can be reached.

        `failures_before` is the network's count of failures when the chunk's work began.
        """
        return self.sources.sources.outage(self.network.outage(failures_before))

    def close(self) -> None:
        """Close all connections, in reverse order."""
        asyncio.run_coroutine_threadsafe(self._close_connections(), self.loop).result()
        stop_loop(self.loop)
        self.redis.close()
        self.database.close()

    async def _close_connections(self) -> None:
        await end_tasks()
        await self.sources.sources.close()
        await self.network.flush()
        await self.network.close()


def open_process(draining: Flag) -> Process:
    """Open a process's connections, contacting nothing yet. Chunk tasks release their chunks once `draining` is set."""
    settings = required(load_settings(), "database_url", "redis_url")
    mail = mail_network_config(settings)
    for stage in STAGES:
        stage.load()  # or the first chunk would wait for it
    loop = start_loop()
    return Process(
        settings=settings,
        database=open_database(settings.database_url, pool_size=POOL_SIZE, timeouts=IN_THE_BACKGROUND),
        redis=open_redis(settings.redis_url, REDIS_TIMEOUT_S),
        storage=open_storage(settings.export_storage, settings.export_dir),
        network=MailNetwork(
            mail,
            RedisMemory(settings.redis_url),
            SharedPacing(settings.redis_url, PacingLimits.of(mail), mail.conversations),
        ),
        loop=loop,
        draining=draining,
        at_work=AtWork(int(mail.conversations * PLANNED)),
        heart=Heart(loop),
        sources=sources_or_exit(settings),
    )


def freshness_of(settings: Settings) -> Freshness:
    """How long verdicts are reused."""
    return Freshness(settings.fresh_days_valid, settings.fresh_days_risky, settings.fresh_days_invalid)
