"""The records of the sandbox's name server."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from dnslib import CNAME, MX, NS, QTYPE, RCODE, RR, SOA, TXT, A

from sandbox.addresses import WEB_ADDRESS
from sandbox.domains import Behaviour, Domain

TTL = 300
"""Seconds for which an answer may be cached."""

_NAME_SERVER = "ns.sandbox-dns.example."
_HOSTMASTER = "hostmaster.sandbox-dns.example."

Record = Any
"""A `dnslib.RR`; the library has no types."""


class Answer(NamedTuple):
    """The answer to one question: a response code, the records, and an SOA where there are none (RFC 2308)."""

    rcode: int
    answers: list[Record]
    authority: list[Record]


class Zone:
    """All records, by name and type. Names are absolute and in lower case."""

    def __init__(self) -> None:
        self._records: defaultdict[str, defaultdict[int, list[Record]]] = defaultdict(lambda: defaultdict(list))
        self._broken: set[str] = set()
        for apex in (".", "test.", "example."):
            self.add_apex(apex)

    def add(self, name: str, kind: int, data: object) -> None:
        """Add a record of a `dnslib.QTYPE` kind."""
        self._records[name][kind].append(RR(name, kind, ttl=TTL, rdata=data))

    def add_apex(self, name: str) -> None:
        """Begin a zone at this name, unless one begins there already."""
        if name not in self._records:
            self.add(name, QTYPE.SOA, SOA(_NAME_SERVER, _HOSTMASTER, (1, 3600, 600, 86400, TTL)))
            self.add(name, QTYPE.NS, NS(_NAME_SERVER))

    def add_broken(self, name: str) -> None:
        """Answer SERVFAIL for this name and all names below it."""
        self._broken.add(name)

    def answer(self, name: str, kind: int) -> Answer:
        """Return the answer to one question. After an alias come the records of its target (RFC 1034 section 3.6.2)."""
        ancestors = _ancestors(name)
        if not self._broken.isdisjoint(ancestors):
            return Answer(RCODE.SERVFAIL, [], [])
        answers = self._find(name, kind)
        if answers:
            return Answer(RCODE.NOERROR, answers, [])
        apex = next(ancestor for ancestor in ancestors if self._find(ancestor, QTYPE.SOA))
        rcode = RCODE.NOERROR if name in self._records else RCODE.NXDOMAIN
        return Answer(rcode, [], self._find(apex, QTYPE.SOA))

    def _find(self, name: str, kind: int) -> list[Record]:
        here: Mapping[int, list[Record]] = self._records.get(name, {})
        aliases = here.get(QTYPE.CNAME, [])
        if aliases and kind != QTYPE.CNAME:
            return aliases + self._find(str(aliases[0].rdata.label), kind)
        return here.get(kind, [])


def build_zone(domains: Iterable[Domain], addresses: Mapping[str, str]) -> Zone:
    """The records of these domains, whose mail hosts are at these addresses."""
    zone = Zone()
    for domain in domains:
        _add_domain(zone, domain)
        for host in domain.mail_hosts:
            _add_host(zone, host, addresses[host], domain.behaviour)
    return zone


def _add_domain(zone: Zone, domain: Domain) -> None:
    apex = f"{domain.name}."
    match domain.behaviour:
        case Behaviour.NO_SUCH_DOMAIN:
            return
        case Behaviour.DNS_SERVFAIL:
            zone.add_broken(apex)
            return
    zone.add_apex(apex)
    zone.add(apex, QTYPE.TXT, TXT("v=spf1 mx -all"))
    match domain.behaviour:
        case Behaviour.NO_MAIL_SERVER | Behaviour.NO_MX_BUT_ADDRESS | Behaviour.NOTHING_LISTENS:
            return
        case Behaviour.NULL_MX:
            zone.add(apex, QTYPE.MX, MX(".", 0))
    zone.add(apex, QTYPE.A, A(WEB_ADDRESS))
    for position, host in enumerate(domain.mail_hosts, start=1):
        zone.add(apex, QTYPE.MX, MX(f"{host}.", 10 * position))


def _add_host(zone: Zone, host: str, address: str, behaviour: Behaviour) -> None:
    name = f"{host}."
    if zone.answer(name, QTYPE.A).answers:
        return
    zone.add_apex(name.partition(".")[2] if host.count(".") > 1 else name)
    if behaviour is Behaviour.ALIASED_MX:
        zone.add(name, QTYPE.CNAME, CNAME(f"alias-of.{name}"))
        name = f"alias-of.{name}"
    zone.add(name, QTYPE.A, A(address))


def _ancestors(name: str) -> list[str]:
    labels = name.rstrip(".").split(".") if name != "." else []
    return [".".join(labels[depth:]) + "." for depth in range(len(labels))] + ["."]
