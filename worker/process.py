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
from settings import Settings, load_settings, required
from settings.mail import mail_network_config
from settings.sources import OpenSources, sources_or_exit
from worker.adapters.provider_journal import PostgresJournal
from worker.adapters.redis_memory import RedisMemory
from worker.adapters.suppression_list import PostgresSuppressionList
from worker.pacing.shared import SharedPacing

REDIS_TIMEOUT_S = 1.0
"""Short: nothing waits for the live copy."""

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
    network: MailNetwork
    loop: asyncio.AbstractEventLoop
    draining: Flag
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
        self.loop.run_until_complete(self.sources.sources.close())
        self.loop.run_until_complete(self.network.close())
        self.loop.close()
        self.redis.close()
        self.database.close()


def open_process(draining: Flag) -> Process:
    """Open a process's connections, contacting nothing yet. Chunk tasks release their chunks once `draining` is set."""
    settings = required(load_settings(), "database_url", "redis_url")
    mail = mail_network_config(settings)
    return Process(
        settings=settings,
        database=open_database(settings.database_url, pool_size=2, timeouts=IN_THE_BACKGROUND),
        redis=open_redis(settings.redis_url, REDIS_TIMEOUT_S),
        network=MailNetwork(
            mail,
            RedisMemory(settings.redis_url),
            SharedPacing(settings.redis_url, PacingLimits.of(mail), mail.conversations),
        ),
        loop=asyncio.new_event_loop(),
        draining=draining,
        sources=sources_or_exit(settings),
    )


def freshness_of(settings: Settings) -> Freshness:
    """How long verdicts are reused."""
    return Freshness(settings.fresh_days_valid, settings.fresh_days_risky, settings.fresh_days_invalid)
