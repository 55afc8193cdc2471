"""Sends a DNS query to one name server after the other, until one of them has a conclusive response.

SERVFAIL, REFUSED, a referral (from a lame server) and a timeout are inconclusive: the next server is tried. NXDOMAIN
and an empty answer are conclusive. RFC 2308 defines how long negative answers live, RFC 8914 why a resolver failed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import dns.edns
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from pipeline.mail.dns.exchange import NameServer
from pipeline.mail.dns.fast_parse import PlainAnswer
from pipeline.mail.outage import FailuresInARow
from pipeline.outcomes import Reason

MAX_TTL = 3600.0
NEGATIVE_TTL = 60.0
"""The longest lifetime of a negative answer in seconds, and that of one for which the zone gives none (RFC 2308 5)."""
FAILURE_TTL = 5.0
"""Seconds for which a failure is cached (RFC 2308 7.1 allows up to 300)."""
PATIENCE = 2.0
"""Seconds that one server may take: a datagram may be lost, or another server may be faster."""
AT_ONCE = 200
"""Queries in flight at the same time: more would wait for this process, not for the servers."""
AT_ONCE_FOR = 0.5
"""Seconds after which a query in flight no longer counts: slow name servers must not hold up other queries."""
MAX_ALIASES = 8
"""Aliases that are followed by further queries if a response does not include their targets."""
DETAIL_KEPT = 120
ROOT = "."
ENDLESS = "aliases without end"

_CONCLUSIVE = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


@dataclass(frozen=True, slots=True)
class Found:
    """Records in presentation form and their lifetime in seconds, or why there are none.

    `detail` is what the name servers sent instead of an answer, for people.
    """

    records: tuple[str, ...]
    ttl: float
    problem: Reason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Failure:
    """What one name server sent instead of an answer; without an `rcode`, it sent nothing valid."""

    detail: str
    rcode: dns.rcode.Rcode | None = None

    @property
    def is_silence(self) -> bool:
        """Whether it says nothing about the name; REFUSED (RFC 1035 4.1.1) is about us."""
        return self.rcode in (None, dns.rcode.REFUSED)


class _NoAnswerError(Exception):
    """Raised when no name server had a conclusive response; `failures` has at least one entry."""

    def __init__(self, failures: Sequence[_Failure]) -> None:
        super().__init__()
        self.failures = failures


class _Place:
    """A place among the queries in flight: given up with the response, or after AT_ONCE_FOR seconds."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        await self._places.acquire()
        self._timer = asyncio.get_running_loop().call_later(AT_ONCE_FOR, self._leave)

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._places.release()


class NameServers:
    """The name servers of a process; if none are given, the system's are used.

    Raises `dns.resolver.NoResolverConfiguration` if the system has none. `timeout` is the time for one lookup in
    seconds, for all servers and aliases together. `silences` are lookups that no server answered; they tell whether any
    server can be reached at all.
    """

    def __init__(self, nameservers: Sequence[tuple[str, int]], timeout: float) -> None:
        self._servers = [NameServer(address) for address in nameservers or _of_the_system()]
        self._timeout = timeout
        self._patience = min(PATIENCE, timeout / 2)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._first = 0
        self._root_query: asyncio.Task[None] | None = None
        self.silences = FailuresInARow()

    async def query(self, host: str, kind: dns.rdatatype.RdataType) -> Found:
        """Return the records of this kind that a name has; never raises for a failure of the DNS."""
        before = self.silences.successes
        try:
            async with _Place(self._at_once):
                found = await self._follow(host, kind)
        except _NoAnswerError as nothing:
            await self._note_failure(host, nothing.failures, before)
            return Found((), FAILURE_TTL, Reason.DNS_FAILURE, _most_telling(nothing.failures))
        self.silences.succeeded()
        return found

    async def close(self) -> None:
        """Cancel the query for the root."""
        if self._root_query is not None:
            self._root_query.cancel()
            await asyncio.gather(self._root_query, return_exceptions=True)

    async def _follow(self, name: str, kind: dns.rdatatype.RdataType) -> Found:
        """Query, and follow aliases whose targets are not part of the response (RFC 1034 3.6.2)."""
        ttl, clock = MAX_TTL, asyncio.get_running_loop()
        deadline = clock.time() + self._timeout
        for hops in range(MAX_ALIASES):
            response = await self._query(name, kind, deadline - clock.time())
            if isinstance(response, PlainAnswer):
                return Found(response.records, min(ttl, response.ttl))
            try:
                chain = response.resolve_chaining()
            except dns.exception.DNSException as nonsense:
                loop = isinstance(nonsense, dns.message.ChainTooLong)
                detail = ENDLESS if loop else _sentence(nonsense)
                raise _NoAnswerError([_Failure(detail, response.rcode())]) from nonsense
            ttl = min(ttl, chain.minimum_ttl)
            if chain.answer is not None:
                return Found(tuple(record.to_text() for record in chain.answer), ttl)
            if (
                chain.canonical_name == dns.name.from_text(name)
                or response.rcode() == dns.rcode.NXDOMAIN
                or _has_soa(response)
            ):
                # A name that is an alias exists, even if its target does not.
                gone = response.rcode() == dns.rcode.NXDOMAIN and not (chain.cnames or hops)
                return Found((), min(ttl, NEGATIVE_TTL), Reason.NO_SUCH_DOMAIN if gone else None)
            name = chain.canonical_name.to_text()
        raise _NoAnswerError([_Failure(ENDLESS, dns.rcode.NOERROR)])

    async def _query(
        self, name: str, kind: dns.rdatatype.RdataType, seconds: float
    ) -> dns.message.QueryMessage | PlainAnswer:
        """Return the first conclusive response. Raises `_NoAnswerError`."""
        loop, failures = asyncio.get_running_loop(), list[_Failure]()
        deadline = loop.time() + seconds
        servers = self._servers[self._first :] + self._servers[: self._first]
        while servers and (left := deadline - loop.time()) > 0:
            server = servers.pop(0)
            try:
                response = await server.query(name, kind, min(self._patience, left))
            except TimeoutError:
                failures.append(_Failure("no answer in time"))
                servers.append(server)
                self._begin_after(server)
                continue
            except (dns.exception.DNSException, OSError, EOFError) as error:
                failures.append(_Failure(_sentence(error)))
                self._begin_after(server)
                continue
            if isinstance(response, PlainAnswer) or _is_conclusive(response):
                return response
            failures.append(_Failure(_complaint(response), response.rcode()))
        raise _NoAnswerError(failures or [_Failure("no answer in time")])

    def _begin_after(self, server: NameServer) -> None:
        """Begin the next query with another server, so that not every query waits for the same timeout."""
        if self._servers[self._first] == server:
            self._first = (self._first + 1) % len(self._servers)

    async def _note_failure(self, host: str, failures: Sequence[_Failure], successes_before: int) -> None:
        """Distinguish a silent resolver from one that waits too long for the domain's own name servers."""
        if not all(failure.is_silence for failure in failures):
            self.silences.succeeded()
            return
        if self.silences.successes == successes_before:
            if self._root_query is None or self._root_query.done():
                self._root_query = asyncio.create_task(self._query_root())
            await asyncio.shield(self._root_query)
        self.silences.failed(host, successes_before=successes_before)

    async def _query_root(self) -> None:
        """Query what every resolver knows, only to learn whether the resolver answers."""
        try:
            await self._query(ROOT, dns.rdatatype.NS, self._patience)
        except _NoAnswerError as nothing:
            if all(failure.is_silence for failure in nothing.failures):
                return
        self.silences.succeeded()


def _of_the_system() -> list[tuple[str, int]]:
    stub = dns.resolver.Resolver()
    return [(str(address), stub.port) for address in stub.nameservers]


def _is_conclusive(response: dns.message.QueryMessage) -> bool:
    return response.rcode() in _CONCLUSIVE and not _is_referral(response)


def _is_referral(response: dns.message.QueryMessage) -> bool:
    """Say whether the response is a referral (RFC 2308 2.2.1): the server is lame for this name."""
    kinds = {rrset.rdtype for rrset in response.authority}
    return not response.answer and dns.rdatatype.NS in kinds and dns.rdatatype.SOA not in kinds


def _has_soa(response: dns.message.QueryMessage) -> bool:
    return any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority)


def _complaint(response: dns.message.QueryMessage) -> str:
    """Describe a response without an answer, with its reasons (RFC 8914), such as `SERVFAIL (DNSSEC Bogus)`."""
    word = "a referral" if response.rcode() in _CONCLUSIVE else dns.rcode.to_text(response.rcode())
    reasons = [_reason(option) for option in response.extended_errors()]
    return f"{word} ({'; '.join(reasons)})"[:DETAIL_KEPT] if reasons else word


def _reason(option: dns.edns.EDEOption) -> str:
    name = option.code.name.replace("_", " ")
    text = "".join(filter(str.isprintable, option.text or ""))
    return f"{name}: {text}" if text else name


def _most_telling(failures: Sequence[_Failure]) -> str:
    """Prefer a failure with a reason to one without, and that to a timeout."""
    return max(failures, key=lambda failure: ("(" in failure.detail, not failure.is_silence)).detail


def _sentence(error: Exception) -> str:
    return str(error)[:DETAIL_KEPT] or type(error).__name__
