"""The door to the outside world of mail: one per worker process, handed to every stage.

It holds the resolver, the SMTP client's identity and the limits on connections, so that all coalescer in a
process share caches and stay polite together. What it learns about domains it tells the other processes.
"""

import hashlib

from pipeline.mail.address.lists import Lists
from pipeline.mail.caching.shared import CoalescedMemory, SharedCache, SharedMemory
from pipeline.mail.caching.ttl_cache import TtlCache
from pipeline.mail.catch_all import random_probe
from pipeline.mail.config import MailNetworkConfig
from pipeline.mail.connector import Connector
from pipeline.mail.conversation import Conversation
from pipeline.mail.dns.routes import MailRoute, Resolver
from pipeline.mail.outage import NO_RESOLVER, OF_ONES_OWN, SMTP_PORT_BLOCKED, Outage
from pipeline.mail.pacing.slots import Pacing
from pipeline.mail.probe import Prober
from pipeline.mail.reacher.verifier import RemoteProber, RemoteVerifier
from pipeline.mail.replies.answer import Answer
from pipeline.mail.stopwatch import Stopwatch

__all__ = ["MailNetwork", "MailNetworkConfig"]

CATCH_ALL_REMEMBERED = 600.0
"""Seconds that a domain's being a catch-all, or not, is not asked again."""
DOMAINS_REMEMBERED = 20_000


class MailNetwork:
    """What stages ask: where does a domain take mail, and does its server take mail for these addresses.

    Made once per process, outside any event loop, and used from one loop only. `memory` is shared with the other
    processes; without one each finds out for itself. `pacing` is that of all processes together; without it the
    process keeps its own limits. Both are closed with the network. Raises `dns.resolver.NoResolverConfiguration`
    if no name servers are given and the system has none.
    """

    def __init__(
        self, config: MailNetworkConfig, memory: SharedMemory | None = None, pacing: Pacing | None = None
    ) -> None:
        self.config = config
        self.lists = Lists(config.lists_dir)
        self._memory = CoalescedMemory(memory) if memory else None
        scope = _scope(config)
        self._resolver = Resolver(
            config.nameservers,
            timeout=config.dns_timeout,
            time_limit=config.contact_timeout,
            allow_private=config.allow_private,
            ipv6=config.ipv6,
            shared=SharedCache(self._memory, f"{scope}:route", MailRoute) if self._memory else None,
        )
        self._connector = Connector(config, pacing)
        self._verifier = RemoteVerifier(config.verifier) if config.verifier else None
        self._catch_alls: TtlCache[str, Answer] = TtlCache(DOMAINS_REMEMBERED)
        self._shared_catch_alls = SharedCache(self._memory, f"{scope}:catch_all", Answer) if self._memory else None

    async def route(self, domain: str) -> MailRoute:
        """Say where a domain (A-labels, lower case) takes mail, or why nowhere."""
        return await self._resolver.route(domain)

    def stopwatch(self) -> Stopwatch:
        """The time limit for one contact, for a route and the first questions to it."""
        return Stopwatch(self.config.contact_timeout)

    def conversation(self, route: MailRoute, stopwatch: Stopwatch | None = None) -> Prober:
        """Begin to ask the hosts of a route about addresses; to be used with `async with`.

        The first contacts have what `stopwatch` left over from finding the route.
        """
        stopwatch = stopwatch or self.stopwatch()
        if self._verifier is not None:
            return RemoteProber(route.domain, self._verifier, self.config, stopwatch)
        return Conversation(route, self.config, self._connector, stopwatch)

    async def random_probe(self, conversation: Prober) -> Answer:
        """Ask about a random address: the answer's `says_catch_all` tells what a yes is worth at this domain.

        To be asked after real addresses (`pipeline.mail.catch_all` says why).
        """
        known = await self.known_random_probe(conversation.domain)
        if known is not None:
            return known
        answer = await random_probe(conversation, self.config.mail_from)
        self.note_random_probe(conversation.domain, answer)
        return answer

    async def known_random_probe(self, domain: str) -> Answer | None:
        """Give what was said lately about the domain's invented address, to us or to another process."""
        return self._catch_alls.get(domain) or await self._told_catch_all(domain)

    def note_random_probe(self, domain: str, answer: Answer) -> None:
        """Remember what was said about the domain's invented address, if it tells anything."""
        if answer.says_catch_all is not None:
            self._catch_alls.put(domain, answer, CATCH_ALL_REMEMBERED)
            if self._shared_catch_alls:
                self._shared_catch_alls.put(domain, answer, CATCH_ALL_REMEMBERED)

    @property
    def failures(self) -> int:
        """How many failures were noted that may be part of an outage."""
        return self._resolver.silences.noted + self._connector.failures.noted

    def outage(self, failures_before: int = 0) -> Outage | None:
        """Say what is gone if the outside world is gone as a whole, None as long as any of it was heard of.

        `failures_before` is how many `failures` there were when the asker's work began: it must have met some itself.
        """
        has_met_some = self.failures - failures_before >= OF_ONES_OWN
        if has_met_some and self._resolver.silences.is_outage:
            return NO_RESOLVER
        if has_met_some and self._connector.failures.is_outage:
            return SMTP_PORT_BLOCKED
        return self._verifier.outage if self._verifier else None

    async def flush(self) -> None:
        """Wait a moment for servers to let go of what has ended: the event loop is about to stand still."""
        await self._connector.flush()
        if self._memory:
            await self._memory.flush()

    async def close(self) -> None:
        """Take leave of every server; the network is not used any more."""
        await self._resolver.close()
        await self._connector.close()
        if self._verifier is not None:
            await self._verifier.close()
        if self._memory:
            await self._memory.close()

    async def _told_catch_all(self, domain: str) -> Answer | None:
        told = await self._shared_catch_alls.get(domain) if self._shared_catch_alls else None
        if told is None:
            return None
        self._catch_alls.put(domain, told.value, told.seconds)
        return told.value


def _scope(config: MailNetworkConfig) -> str:
    """A name for whom a process asks, and as whom: what others say who ask elsewhere is no answer for us."""
    asked = (config.nameservers, config.smtp_port, config.allow_private, config.mail_from)
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:12]
