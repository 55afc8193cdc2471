"""Finds a domain's mail hosts in order of preference, or the reason why there are none.

RFC 5321 5.1 (MX and implicit MX), RFC 7505 (null MX).
"""

import asyncio
import ipaddress
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import dns.rdatatype

from pipeline.mail.address.providers import provider_of
from pipeline.mail.caching.shared import SharedCache
from pipeline.mail.caching.single_flight import SingleFlight
from pipeline.mail.dns.resolver import MAX_TTL, NEGATIVE_TTL, Found, NameServers
from pipeline.mail.public_addresses import is_public
from pipeline.outcomes import Reason

HOSTS_AT_ONCE = 5
"""Hosts of a domain that are looked up first (RFC 5321 5.1 asks for two); more only if none can be contacted."""
MAX_HOSTS = 20
"""Hosts of a domain that are looked up at most, the preferred first: a domain may name a thousand."""
ADDRESSES_PER_HOST = 8
"""Addresses of a host that are tried at most, of IPv4 and of IPv6 each."""
LOCALHOST = ("127.0.0.1", "::1")

_RANDOM = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class MailHost:
    """A mail host and the IP addresses at which it may be contacted; the lowest `preference` comes first."""

    name: str
    addresses: tuple[str, ...]
    preference: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class MailRoute:
    """The hosts that take mail for a domain, the preferred first; if there are none, the problem.

    `detail` is what the name servers sent, if that explains the problem.
    """

    domain: str
    hosts: tuple[MailHost, ...] = ()
    problem: Reason | None = None
    detail: str = ""

    @property
    def mail_host(self) -> str:
        """The name of the preferred host; empty if there is none."""
        return self.hosts[0].name if self.hosts else ""

    @property
    def provider(self) -> str:
        """The provider that runs the preferred host; empty if unknown."""
        return provider_of(self.mail_host)


class Resolver:
    """Finds routes, and caches them for as long as the DNS allows.

    `nameservers` are (IP address, port) pairs; if empty, the system's are used. Raises
    `dns.resolver.NoResolverConfiguration` if the system has none. `timeout` limits one lookup, in seconds, `time_limit`
    a whole route. With `ipv6`, hosts are contacted at IPv6 addresses, too. `shared` shares routes with other processes.
    """

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]] = (),
        *,
        timeout: float = 5.0,
        time_limit: float = 60.0,
        allow_private: bool = False,
        ipv6: bool = False,
        shared: SharedCache[MailRoute] | None = None,
    ) -> None:
        self._servers = NameServers(nameservers, timeout)
        self._time_limit = time_limit
        self._allow_private = allow_private
        self._ipv6 = ipv6
        self.silences = self._servers.silences
        self._routes = SingleFlight(self._find_route, shared, worth_sharing=_is_shareable)
        self._hosts = SingleFlight(self._find_addresses)

    async def route(self, domain: str) -> MailRoute:
        """Say where `domain` (A-labels, lower case) takes mail; never raises for what the DNS answers."""
        return _with_equals_at_random(await self._routes.get(domain))

    async def close(self) -> None:
        """End the questions that are still open."""
        await self._routes.close()
        await self._hosts.close()
        await self._servers.close()

    async def _find_route(self, domain: str) -> tuple[MailRoute, float]:
        try:
            async with asyncio.timeout(self._time_limit):
                return await self._query_route(domain)
        except TimeoutError:
            return MailRoute(domain, problem=Reason.TIME_LIMIT), NEGATIVE_TTL

    async def _query_route(self, domain: str) -> tuple[MailRoute, float]:
        found = await self._servers.query(domain, dns.rdatatype.MX)
        if found.problem is not None:
            return MailRoute(domain, problem=found.problem, detail=found.detail), found.ttl
        if not found.records:
            return await self._route_over([(0, domain)], domain, found.ttl)
        exchanges = _by_preference(found.records)[:MAX_HOSTS]
        if not exchanges:
            return MailRoute(domain, problem=Reason.NULL_MX), found.ttl
        return await self._route_over(exchanges, domain, found.ttl)

    async def _route_over(
        self, exchanges: Sequence[tuple[int, str]], domain: str, ttl: float
    ) -> tuple[MailRoute, float]:
        seen: list[Found] = []
        for start in range(0, len(exchanges), HOSTS_AT_ONCE):
            some = exchanges[start : start + HOSTS_AT_ONCE]
            found = await self._addresses_of([name for _, name in some])
            seen += found
            ttl = min(ttl, *(addresses.ttl for addresses in found))
            hosts = tuple(
                MailHost(name, usable, preference)
                for (preference, name), addresses in zip(some, found, strict=True)
                if (usable := self._contactable(addresses.records))
            )
            if hosts:
                return MailRoute(domain, hosts), ttl
        problem, detail = _why_no_host(seen)
        return MailRoute(domain, problem=problem, detail=detail), ttl

    async def _addresses_of(self, hosts: Sequence[str]) -> Sequence[Found]:
        if len(hosts) == 1:
            return [await self._hosts.get(hosts[0])]
        return await asyncio.gather(*map(self._hosts.get, hosts))

    async def _find_addresses(self, host: str) -> tuple[Found, float]:
        """Look up IPv4 addresses first, on which more hosts listen; IPv6 if we have it, or if there are no others."""
        if written := _written_in(host):
            return Found(written, MAX_TTL), MAX_TTL
        if self._ipv6:
            both = await asyncio.gather(
                *(self._servers.query(host, kind) for kind in (dns.rdatatype.A, dns.rdatatype.AAAA))
            )
            found = _merged(*map(_some, both))
        else:
            found = await self._servers.query(host, dns.rdatatype.A)
            if not found.records and found.problem is None:
                found = await self._servers.query(host, dns.rdatatype.AAAA)
            found = _some(found)
        return found, found.ttl

    async def addresses_of_host(self, host: str) -> tuple[Found, tuple[str, ...]]:
        """What the DNS has for a host that takes no mail, and at which of its addresses it may be contacted."""
        found = await self._hosts.get(host)
        return found, self._contactable(found.records)

    def _contactable(self, addresses: Iterable[str]) -> tuple[str, ...]:
        return tuple(address for address in addresses if self._allow_private or is_public(address))


def _by_preference(records: Iterable[str]) -> list[tuple[int, str]]:
    """Order hosts by preference, equals at random (RFC 5321 5.1); a null MX (".") is no host."""
    pairs = [(int(preference), host) for preference, host in (record.split() for record in records)]
    _RANDOM.shuffle(pairs)
    pairs.sort(key=lambda pair: pair[0])
    hosts: dict[str, int] = {}
    for preference, host in pairs:
        if host != ".":
            hosts.setdefault(host.rstrip(".").lower(), preference)
    return [(preference, host) for host, preference in hosts.items()]


def _with_equals_at_random(route: MailRoute) -> MailRoute:
    """Shuffle hosts of equal preference: a cached route must not send all sessions to the same one."""
    if len({host.preference for host in route.hosts}) == len(route.hosts):
        return route
    hosts = list(route.hosts)
    _RANDOM.shuffle(hosts)
    return MailRoute(route.domain, tuple(sorted(hosts, key=lambda host: host.preference)))


def _written_in(host: str) -> tuple[str, ...]:
    """Return the addresses in a host's name: some MX records hold an address, against RFC 5321.

    Postfix delivers there, too. Names under localhost are not looked up in the DNS (RFC 6761 6.3).
    """
    if host == "localhost" or host.endswith(".localhost"):
        return LOCALHOST
    if not (host[-1:].isdigit() or ":" in host):
        return ()  # the common case: an exception takes longer
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        return ()


def _some(found: Found) -> Found:
    """Keep only as many addresses as are tried."""
    if len(found.records) <= ADDRESSES_PER_HOST:
        return found
    return Found(found.records[:ADDRESSES_PER_HOST], found.ttl)


def _merged(ipv4: Found, ipv6: Found) -> Found:
    """Join addresses of both kinds; a failure counts only if there are no addresses at all."""
    found = [each for each in (ipv4, ipv6) if each.records]
    if found:
        return Found(ipv4.records + ipv6.records, min(each.ttl for each in found))
    failed = next((each for each in (ipv4, ipv6) if each.problem is Reason.DNS_FAILURE), ipv4)
    return Found((), min(ipv4.ttl, ipv6.ttl), failed.problem, failed.detail)


def _why_no_host(found: Iterable[Found]) -> tuple[Reason, str]:
    """Return why none of the hosts can be contacted: a temporary reason first, then our own refusal."""
    found = list(found)
    failed = next((addresses for addresses in found if addresses.problem is Reason.DNS_FAILURE), None)
    if failed is not None:
        return Reason.DNS_FAILURE, failed.detail
    if any(addresses.records for addresses in found):
        return Reason.UNUSABLE_MAIL_HOST, ""
    return Reason.NO_MAIL_SERVER, ""


def _is_shareable(route: MailRoute) -> bool:
    """Say whether a route may be shared: a lookup that failed here may succeed in other processes."""
    return route.problem not in (Reason.DNS_FAILURE, Reason.TIME_LIMIT)
