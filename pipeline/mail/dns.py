"""Where a domain takes mail: its hosts in order of preference, or the reason why there is none.

RFC 5321 5.1 (MX and implicit MX), RFC 7505 (null MX), RFC 2308 (how long a "no" is good for).
"""

import asyncio
import ipaddress
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.rdatatype
import dns.resolver

from pipeline.mail.outage import FailuresInARow
from pipeline.mail.ttl_cache import TtlCache
from pipeline.outcomes import Reason

T = TypeVar("T")

MAX_HOSTS = 5
"""More of a domain's hosts are not looked up: RFC 5321 5.1 asks for two at least."""
CACHE_SIZE = 20_000
MAX_TTL = 3600.0
NEGATIVE_TTL = 60.0
"""Seconds that a "no" is good for where the zone does not say (RFC 2308 5), and at most."""
FAILURE_TTL = 5.0
"""Seconds before a name server that failed is asked again (RFC 2308 7.1 allows up to 300)."""


@dataclass(frozen=True, slots=True)
class MailHost:
    """A mail host and the IP addresses it may be contacted at."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MailRoute:
    """The hosts that take mail for a domain, the preferred first; or none, and the problem."""

    domain: str
    hosts: tuple[MailHost, ...] = ()
    problem: Reason | None = None


class Resolver:
    """Asks name servers, remembers what they said for as long as they allow, asks nothing twice at once.

    `nameservers` are (IP address, port) pairs; none means the system's own. Raises
    `dns.resolver.NoResolverConfiguration` if the system has none either. `silences` are questions that no name
    server answered, for whoever wants to know whether any is there at all.
    """

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]] = (),
        *,
        timeout: float = 5.0,
        allow_private: bool = False,
    ) -> None:
        self._stub = dns.asyncresolver.Resolver(configure=not nameservers)
        if nameservers:
            self._stub.nameservers = [dns.nameserver.Do53Nameserver(ip, port) for ip, port in nameservers]
        self._stub.lifetime = timeout
        # A datagram may be lost: leave time to ask again, or to ask the next server.
        self._stub.timeout = min(2.0, timeout / 2)
        self._allow_private = allow_private
        self.silences = FailuresInARow()
        self._routes = _SharedQuestion(self._find_route)
        self._hosts = _SharedQuestion(self._find_addresses)
        self._root = _SharedQuestion(self._ask_about_root)

    async def route(self, domain: str) -> MailRoute:
        """Say where `domain` (A-labels, lower case) takes mail; never raises for what the DNS answers."""
        return await self._routes.ask(domain)

    async def close(self) -> None:
        """End the questions that are still open."""
        await self._routes.close()
        await self._hosts.close()
        await self._root.close()

    async def _find_route(self, domain: str) -> tuple[MailRoute, float]:
        answer = await self._query(domain, dns.rdatatype.MX)
        if answer.problem is not None:
            return MailRoute(domain, problem=answer.problem), answer.ttl
        if not answer.records:
            return await self._route_over([domain], domain, answer.ttl)
        exchanges = _by_preference(answer.records)
        if not exchanges:
            return MailRoute(domain, problem=Reason.NULL_MX), answer.ttl
        return await self._route_over(exchanges[:MAX_HOSTS], domain, answer.ttl)

    async def _route_over(self, names: Sequence[str], domain: str, ttl: float) -> tuple[MailRoute, float]:
        found = await asyncio.gather(*map(self._hosts.ask, names))
        ttl = min(ttl, *(addresses.ttl for addresses in found))
        usable = [self._contactable(addresses.records) for addresses in found]
        hosts = tuple(MailHost(*host) for host in zip(names, usable, strict=True) if host[1])
        if hosts:
            return MailRoute(domain, hosts), ttl
        return MailRoute(domain, problem=_why_no_host(found)), ttl

    async def _find_addresses(self, host: str) -> tuple["_Found", float]:
        found = await self._query(host, dns.rdatatype.A)
        if not found.records and found.problem is None:
            found = await self._query(host, dns.rdatatype.AAAA)
        return found, found.ttl

    def _contactable(self, addresses: Iterable[str]) -> tuple[str, ...]:
        return tuple(address for address in addresses if self._allow_private or _is_public(address))

    async def _query(self, host: str, kind: dns.rdatatype.RdataType) -> "_Found":
        name, before = dns.name.from_text(host), self.silences.successes
        try:
            answer = await self._stub.resolve(name, kind, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN as refusal:
            self.silences.succeeded()
            return _Found((), _ttl_of_a_no(refusal.kwargs["responses"][name]), Reason.NO_SUCH_DOMAIN)
        except dns.exception.DNSException as failure:
            # Timeout, SERVFAIL (which is also how a validating resolver reports bad DNSSEC), nonsense.
            await self._note_failure(host, failure, before)
            return _Found((), FAILURE_TTL, Reason.DNS_FAILURE)
        self.silences.succeeded()
        if answer.rrset is None:
            return _Found((), _ttl_of_a_no(answer.response))
        ttl = min(answer.chaining_result.minimum_ttl, MAX_TTL)
        return _Found(tuple(record.to_text() for record in answer.rrset), ttl)

    async def _note_failure(self, host: str, failure: dns.exception.DNSException, successes_before: int) -> None:
        """Tell a silent resolver from one that waited too long for the domain's own name servers."""
        if not _is_silence(failure):
            self.silences.succeeded()
            return
        if self.silences.successes == successes_before:
            await self._root.ask(".")
        self.silences.failed(host, successes_before=successes_before)

    async def _ask_about_root(self, root: str) -> tuple[bool, float]:
        """Ask what every resolver knows; nobody needs the answer but whoever wants to know if there is one."""
        try:
            await self._stub.resolve(root, dns.rdatatype.NS, raise_on_no_answer=False, lifetime=self._stub.timeout)
        except dns.exception.DNSException as failure:
            if _is_silence(failure):
                return False, 0
        self.silences.succeeded()
        return True, 0


@dataclass(frozen=True, slots=True)
class _Found:
    """Records in presentation form, for how many seconds they are good, or why there are none."""

    records: tuple[str, ...]
    ttl: float
    problem: Reason | None = None


class _SharedQuestion(Generic[T]):
    """A question about a name whose answer is cached, and which all who ask at the same time share."""

    def __init__(self, find: Callable[[str], Awaitable[tuple[T, float]]]) -> None:
        self._find = find
        self._known: TtlCache[str, T] = TtlCache(CACHE_SIZE)
        self._open: dict[str, asyncio.Task[T]] = {}

    async def ask(self, name: str) -> T:
        """Give the answer from memory, from whoever is asking already, or by asking."""
        known = self._known.get(name)
        if known is not None:
            return known
        task = self._open.get(name)
        if task is None:
            task = self._open[name] = asyncio.create_task(self._find_and_keep(name))
            task.add_done_callback(lambda _: self._open.pop(name, None))
        # One asker's cancellation must not take the answer from the others.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Cancel what is being asked."""
        tasks = list(self._open.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _find_and_keep(self, name: str) -> T:
        answer, ttl = await self._find(name)
        self._known.put(name, answer, ttl)
        return answer


def _by_preference(records: Iterable[str]) -> list[str]:
    """Order hosts by preference, equals at random (RFC 5321 5.1); a null MX (".") is no host."""
    pairs = [(int(preference), host) for preference, host in (record.split() for record in records)]
    pairs.sort(key=lambda pair: (pair[0], secrets.randbits(16)))
    return list(dict.fromkeys(host.rstrip(".").lower() for _, host in pairs if host != "."))


def _why_no_host(found: Iterable[_Found]) -> Reason:
    """Say why none of the hosts can be contacted: what may pass first, then what is ours to refuse."""
    found = list(found)
    if any(addresses.problem is Reason.DNS_FAILURE for addresses in found):
        return Reason.DNS_FAILURE
    if any(addresses.records for addresses in found):
        return Reason.UNUSABLE_MAIL_HOST
    return Reason.NO_MAIL_SERVER


def _is_silence(failure: dns.exception.DNSException) -> bool:
    """Say whether no name server said anything about the name; REFUSED (RFC 1035 4.1.1) is about us."""
    if not isinstance(failure, dns.resolver.LifetimeTimeout | dns.resolver.NoNameservers):
        return False
    responses = [response for *_, response in failure.kwargs["errors"] if response is not None]
    return all(response.rcode() == dns.rcode.REFUSED for response in responses)


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return address.is_global and not address.is_multicast


def _ttl_of_a_no(response: dns.message.QueryMessage) -> float:
    """Seconds that a "no" is good for: the SOA's minimum (RFC 2308 5), within our own bound."""
    return min(response.resolve_chaining().minimum_ttl, NEGATIVE_TTL)
