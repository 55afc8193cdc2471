"""Asks name servers one question: each in turn, over TCP where a datagram is too small, until one of them knows.

A SERVFAIL, a refusal, a referral (a lame server) or silence settles nothing and passes the question on; NXDOMAIN
and an empty answer settle it. RFC 2308 says how long a "no" is good for, RFC 8914 why a resolver failed.
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
"""Seconds that a "no" is good for where the zone does not say (RFC 2308 5), and at most."""
FAILURE_TTL = 5.0
"""Seconds before a name server that failed is asked again (RFC 2308 7.1 allows up to 300)."""
PATIENCE = 2.0
"""Seconds that one server may take: a datagram may be lost, or the next server may be alive."""
AT_ONCE = 200
"""Questions in the air at the same time: more would wait for this process, not for the servers."""
AT_ONCE_FOR = 0.5
"""Seconds after which a question gives its place to others: name servers that keep us waiting must not keep them."""
MAX_ALIASES = 8
"""Aliases that are followed by asking again, where a server does not bring what they point to."""
DETAIL_KEPT = 120
ROOT = "."
ENDLESS = "aliases without end"

_SETTLED = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


@dataclass(frozen=True, slots=True)
class Found:
    """Records in presentation form, for how many seconds they are good, or why there are none.

    `detail` is what the name servers said instead of an answer, for a person who wants to know.
    """

    records: tuple[str, ...]
    ttl: float
    problem: Reason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Failure:
    """What one name server said, or did not say, instead of an answer."""

    detail: str
    rcode: dns.rcode.Rcode | None = None

    @property
    def is_silence(self) -> bool:
        """Whether it tells nothing about the name; REFUSED (RFC 1035 4.1.1) is about us."""
        return self.rcode in (None, dns.rcode.REFUSED)


class _NoAnswerError(Exception):
    """Raised when no name server settled the question; `failures` has at least one entry."""

    def __init__(self, failures: Sequence[_Failure]) -> None:
        super().__init__()
        self.failures = failures


class _Place:
    """One of the places for questions in the air: left when the answer is there, or keeps us waiting."""

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
    """The name servers of a process; none given means the system's own.

    Raises `dns.resolver.NoResolverConfiguration` if the system has none either. `timeout` is for one question, in
    seconds, whatever the number of servers and of aliases. `silences` are questions that no server answered, for
    whoever wants to know whether any is there at all.
    """

    def __init__(self, nameservers: Sequence[tuple[str, int]], timeout: float) -> None:
        self._servers = [NameServer(address) for address in nameservers or _of_the_system()]
        self._timeout = timeout
        self._patience = min(PATIENCE, timeout / 2)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._first = 0
        self._probe: asyncio.Task[None] | None = None
        self.silences = FailuresInARow()

    async def query(self, host: str, kind: dns.rdatatype.RdataType) -> Found:
        """Say what records of this kind a name has; never raises for what the DNS answers, or does not."""
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
        """End the question that is still open."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.gather(self._probe, return_exceptions=True)

    async def _follow(self, name: str, kind: dns.rdatatype.RdataType) -> Found:
        """Ask, and ask again about what an alias points to if the answer ends there (RFC 1034 3.6.2)."""
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
                # A name that is an alias does exist, whatever it points to does not.
                gone = response.rcode() == dns.rcode.NXDOMAIN and not (chain.cnames or hops)
                return Found((), min(ttl, NEGATIVE_TTL), Reason.NO_SUCH_DOMAIN if gone else None)
            name = chain.canonical_name.to_text()
        raise _NoAnswerError([_Failure(ENDLESS, dns.rcode.NOERROR)])

    async def _query(
        self, name: str, kind: dns.rdatatype.RdataType, seconds: float
    ) -> dns.message.QueryMessage | PlainAnswer:
        """Give the first answer that settles the question. Raises `_NoAnswerError`."""
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
            if isinstance(response, PlainAnswer) or _settles(response):
                return response
            failures.append(_Failure(_complaint(response), response.rcode()))
        raise _NoAnswerError(failures or [_Failure("no answer in time")])

    def _begin_after(self, server: NameServer) -> None:
        """Let the next question begin with another server, so that not every one waits for the same silence."""
        if self._servers[self._first] == server:
            self._first = (self._first + 1) % len(self._servers)

    async def _note_failure(self, host: str, failures: Sequence[_Failure], successes_before: int) -> None:
        """Tell a silent resolver from one that waited too long for the domain's own name servers."""
        if not all(failure.is_silence for failure in failures):
            self.silences.succeeded()
            return
        if self.silences.successes == successes_before:
            if self._probe is None or self._probe.done():
                self._probe = asyncio.create_task(self._query_root())
            await asyncio.shield(self._probe)
        self.silences.failed(host, successes_before=successes_before)

    async def _query_root(self) -> None:
        """Ask what every resolver knows; nobody needs the answer but whoever wants to know if there is one."""
        try:
            await self._query(ROOT, dns.rdatatype.NS, self._patience)
        except _NoAnswerError as nothing:
            if all(failure.is_silence for failure in nothing.failures):
                return
        self.silences.succeeded()


def _of_the_system() -> list[tuple[str, int]]:
    stub = dns.resolver.Resolver()
    return [(str(address), stub.port) for address in stub.nameservers]


def _settles(response: dns.message.QueryMessage) -> bool:
    return response.rcode() in _SETTLED and not _is_referral(response)


def _is_referral(response: dns.message.QueryMessage) -> bool:
    """Say whether the server points elsewhere instead of answering (RFC 2308 2.2.1): it is lame for this name."""
    kinds = {rrset.rdtype for rrset in response.authority}
    return not response.answer and dns.rdatatype.NS in kinds and dns.rdatatype.SOA not in kinds


def _has_soa(response: dns.message.QueryMessage) -> bool:
    return any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority)


def _complaint(response: dns.message.QueryMessage) -> str:
    """What a server said instead of an answer, with its reasons (RFC 8914), such as `SERVFAIL (DNSSEC Bogus)`."""
    word = "a referral" if response.rcode() in _SETTLED else dns.rcode.to_text(response.rcode())
    reasons = [_reason(option) for option in response.extended_errors()]
    return f"{word} ({'; '.join(reasons)})"[:DETAIL_KEPT] if reasons else word


def _reason(option: dns.edns.EDEOption) -> str:
    name = option.code.name.replace("_", " ")
    text = "".join(filter(str.isprintable, option.text or ""))
    return f"{name}: {text}" if text else name


def _most_telling(failures: Sequence[_Failure]) -> str:
    """A server that says why explains more than one that only fails, and that more than a silent one."""
    return max(failures, key=lambda failure: ("(" in failure.detail, not failure.is_silence)).detail


def _sentence(error: Exception) -> str:
    return str(error)[:DETAIL_KEPT] or type(error).__name__
