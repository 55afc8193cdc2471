"""The entry point of `pipeline.mail`: one network per worker process, passed to every stage.

It holds the resolver, the connector and the caches, so that all batches of a process share them and keep the connection
limits together. Answers about domains are shared with the other processes.
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

RANDOM_PROBE_KEPT = 600.0
"""Seconds for which the answer to a domain's random probe is kept."""
DOMAINS_REMEMBERED = 20_000


class MailNetwork:
    """Finds where a domain takes mail, and probes addresses there.

    Create one per process, outside any event loop, and use it from one loop only. `memory` shares answers with the
    other processes, `pacing` limits with them; without these the process has its own. Both are closed with the network.
    Raises `dns.resolver.NoResolverConfiguration` if no name servers are given and the system has none.
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
        self._random_probes: TtlCache[str, Answer] = TtlCache(DOMAINS_REMEMBERED)
        self._shared_random_probes = SharedCache(self._memory, f"{scope}:catch_all", Answer) if self._memory else None

    async def route(self, domain: str) -> MailRoute:
        """Return where a domain (A-labels, lower case) takes mail, or why it does not."""
        return await self._resolver.route(domain)

    def stopwatch(self) -> Stopwatch:
        """Start the time limit for one contact, which covers finding the route and the first probes."""
        return Stopwatch(self.config.contact_timeout)

    def conversation(self, route: MailRoute, stopwatch: Stopwatch | None = None) -> Prober:
        """Return a prober for the hosts of a route, to be used with `async with`.

        The first contacts have the time that finding the route left on the `stopwatch`.
        """
        stopwatch = stopwatch or self.stopwatch()
        if self._verifier is not None:
            return RemoteProber(route.domain, self._verifier, self.config, stopwatch)
        return Conversation(route, self.config, self._connector, stopwatch)

    async def random_probe(self, conversation: Prober) -> Answer:
        """Probe the domain's random address, unless the answer is known: its `says_catch_all` tells about the domain.

        Probe real addresses first (see `pipeline.mail.catch_all`).
        """
        known = await self.known_random_probe(conversation.domain)
        if known is not None:
            return known
        answer = await random_probe(conversation, self.config.mail_from)
        self.note_random_probe(conversation.domain, answer)
        return answer

    async def known_random_probe(self, domain: str) -> Answer | None:
        """Return the answer to the domain's random probe if this process or another one has a recent one."""
        return self._random_probes.get(domain) or await self._shared_random_probe(domain)

    def note_random_probe(self, domain: str, answer: Answer) -> None:
        """Keep and share the answer to the domain's random probe, unless it is inconclusive."""
        if answer.says_catch_all is not None:
            self._random_probes.put(domain, answer, RANDOM_PROBE_KEPT)
            if self._shared_random_probes:
                self._shared_random_probes.put(domain, answer, RANDOM_PROBE_KEPT)

    @property
    def failures(self) -> int:
        """The number of failures so far that may be part of an outage."""
        return self._resolver.silences.noted + self._connector.failures.noted

    def outage(self, failures_before: int = 0) -> Outage | None:
        """Return the outage if nothing outside answers: no resolver, no mail server, or no remote verifier.

        `failures_before` is the value of `failures` when the caller's work began: the caller must have met some itself.
        """
        has_met_some = self.failures - failures_before >= OF_ONES_OWN
        if has_met_some and self._resolver.silences.is_outage:
            return NO_RESOLVER
        if has_met_some and self._connector.failures.is_outage:
            return SMTP_PORT_BLOCKED
        return self._verifier.outage if self._verifier else None

    async def flush(self) -> None:
        """Wait a moment for open requests and ended connections; call it before the event loop stands still."""
        await self._connector.flush()
        if self._memory:
            await self._memory.flush()

    async def close(self) -> None:
        """Close all connections; the network cannot be used afterwards."""
        await self._resolver.close()
        await self._connector.close()
        if self._verifier is not None:
            await self._verifier.close()
        if self._memory:
            await self._memory.close()

    async def _shared_random_probe(self, domain: str) -> Answer | None:
        shared = await self._shared_random_probes.get(domain) if self._shared_random_probes else None
        if shared is None:
            return None
        self._random_probes.put(domain, shared.value, shared.seconds)
        return shared.value


def _scope(config: MailNetworkConfig) -> str:
    """Return a key of the name servers and the sender of a process: answers that depend on others are not shared."""
    asked = (config.nameservers, config.smtp_port, config.allow_private, config.mail_from)
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:12]
