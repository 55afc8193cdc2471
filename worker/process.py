"""What one worker process opens when it starts, and closes when it ends."""

import asyncio
import ipaddress
import logging
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from uuid import UUID

import redis

from models.database import Database, open_database
from models.settings import Settings, load_settings, required
from pipeline.lookup.sources.waterfall import Waterfall
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.mail.outage import Outage
from pipeline.mail.replies import RuleBook
from pipeline.mail.reply_rules import UnusableRulesError, load_rules
from worker.journal import PostgresJournal
from worker.shared_memory import RedisMemory
from worker.sources import OpenSources, sources_or_exit

REDIS_TIMEOUT_S = 1.0

log = logging.getLogger(__name__)


class Flag(Protocol):
    """Something that is set once and seen by all processes of a worker."""

    def is_set(self) -> bool:
        """Whether it is set."""
        ...


@dataclass(frozen=True, slots=True)
class Process:
    """The connections of one worker process, and its event loop: one for the process's whole life."""

    settings: Settings
    database: Database
    redis: redis.Redis
    network: MailNetwork
    loop: asyncio.AbstractEventLoop
    draining: Flag
    sources: OpenSources = field(default_factory=OpenSources)

    def sources_of(self, run_id: UUID) -> Waterfall:
        """The sources beyond mail servers, with the journal of one run."""
        journal = PostgresJournal(self.database, run_id, self.sources.caps)
        return self.sources.sources.of_run(journal)

    def outage(self) -> Outage | None:
        """Say what is gone if the outside world is gone as a whole: mail servers, and every provider."""
        return self.sources.sources.outage(self.network.outage())

    def close(self) -> None:
        """Close everything, in reverse order of opening."""
        self.loop.run_until_complete(self.sources.sources.close())
        self.loop.run_until_complete(self.network.close())
        self.loop.close()
        self.redis.close()
        self.database.close()


def open_process(draining: Flag) -> Process:
    """Open a process's connections; nothing is contacted yet. Once `draining` is set, lanes hand back."""
    settings = required(load_settings(), "database_url", "redis_url")
    return Process(
        settings=settings,
        database=open_database(settings.database_url, pool_size=2),
        redis=open_redis(settings.redis_url),
        network=MailNetwork(mail_network_config(settings), RedisMemory(settings.redis_url)),
        loop=asyncio.new_event_loop(),
        draining=draining,
        sources=sources_or_exit(settings),
    )


def open_redis(url: str) -> redis.Redis:
    """A client that gives up soon: the live copy is not worth waiting for."""
    return redis.Redis.from_url(url, socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S)


def mail_network_config(settings: Settings) -> MailNetworkConfig:
    """The mail settings as the pipeline takes them; host names of resolvers are looked up here, once."""
    return MailNetworkConfig(
        nameservers=tuple(_nameserver(text) for text in settings.dns_resolvers),
        smtp_port=settings.smtp_port,
        allow_private=settings.smtp_allow_private,
        helo_name=settings.smtp_helo_name or socket.getfqdn(),
        mail_from=settings.smtp_mail_from,
        command_timeout=settings.smtp_timeout_seconds,
        record_timeout=settings.record_timeout_seconds,
        defer_seconds=settings.defer_seconds,
        connections_per_host=settings.smtp_connections_per_host,
        reply_rules=_reply_rules(settings.reply_rules_file),
        ipv6=has_ipv6_route(),
        lists_dir=settings.lists_dir,
    )


def _reply_rules(file: Path | None) -> RuleBook | None:
    """The operator's rules; a file that can't be used ends the process with a sentence that says what to correct."""
    if file is None:
        return None
    try:
        return RuleBook(load_rules(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, UnusableRulesError) as error:
        sys.exit(f"Setting REPLY_RULES_FILE is not usable: {error}")


def has_ipv6_route() -> bool:
    """Whether this machine has a public IPv6 address to go out with; nothing is sent to find out."""
    if not socket.has_ipv6:
        return False
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1", 9))  # documentation's (RFC 3849): whatever leads there leads everywhere
        except OSError:
            return False
        return ipaddress.ip_address(probe.getsockname()[0]).is_global


def _nameserver(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "53")
    return socket.gethostbyname(host), int(port)
