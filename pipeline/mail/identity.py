"""How mail servers see us: whether our EHLO name resolves to the address that we connect from, and back.

This is forward-confirmed reverse DNS (RFC 8601 2.7.3): the address has a PTR record whose name resolves to that
address. Many servers refuse unknown clients without it, and most expect the name to be that in EHLO.
"""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.reversename

from pipeline.mail.public_addresses import is_public


@dataclass(frozen=True, slots=True)
class Identity:
    """Our EHLO name with its addresses, and the PTR names of each address that servers may see.

    `source` is the address that this machine connects from. Behind NAT it is not public, and the address that servers
    see is unknown here; the addresses of the EHLO name are checked instead.
    """

    name: str
    addresses: Sequence[str]
    source: str
    names: Mapping[str, Sequence[str]]

    @property
    def is_behind_nat(self) -> bool:
        return not is_public(self.source)

    @property
    def problem(self) -> str | None:
        """What a mail server may object to, and the remedy, as a sentence; None if there is nothing."""
        if not self.addresses:
            return f"{self.name} has no address: publish an A record with the address that you connect from."
        if not self.is_behind_nat and self.source not in self.addresses:
            return f"we connect from {self.source}, which {self.name} does not resolve to: add it, or set another name."
        for address, names in self.names.items():
            if self.name not in names:
                found = f"is {', '.join(names)}" if names else "is missing"
                return f"the reverse DNS (PTR) of {address} {found}: have your provider set it to {self.name}."
        return None


async def find_identity(nameservers: Sequence[tuple[str, int]], name: str, source: str, seconds: float) -> Identity:
    """Look up what a mail host would look up about a connection from the IP address `source`.

    Only name servers are contacted. Records that do not exist or cannot be looked up are missing in the result.
    """
    resolver = dns.asyncresolver.Resolver(configure=not nameservers)
    if nameservers:
        resolver.nameservers = [dns.nameserver.Do53Nameserver(ip, port) for ip, port in nameservers]
    resolver.lifetime = seconds
    name = name.rstrip(".").lower()
    addresses = [
        text for kind in (dns.rdatatype.A, dns.rdatatype.AAAA) for text in await _look_up(resolver, name, kind)
    ]
    seen = [source] if is_public(source) else addresses
    names = {
        address: [
            found.rstrip(".").lower()
            for found in await _look_up(resolver, dns.reversename.from_address(address).to_text(), dns.rdatatype.PTR)
        ]
        for address in seen
    }
    return Identity(name, addresses, source, names)


def source_address(towards: str) -> str:
    """Return the address from which this machine would connect to another; nothing is sent."""
    family = socket.AF_INET6 if ":" in towards else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards, 25))
        except OSError:
            return "0.0.0.0"  # noqa: S104 - it means that no address is known, nothing listens
        return str(probe.getsockname()[0])


async def _look_up(resolver: dns.asyncresolver.Resolver, name: str, kind: dns.rdatatype.RdataType) -> list[str]:
    try:
        answer = await resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
    except dns.exception.DNSException:
        return []
    return [record.to_text() for record in answer.rrset or ()]
