"""Where our connections leave from: the machine's default address, chosen source addresses, SOCKS5 proxies.

A domain always leaves by the same way, in every process and after every restart: greylisting lets only those pass
who come back with the same client address (RFC 6647 2.3), and a domain's several hosts often share that memory. Its
place in the order is a hash of domain and way (rendezvous hashing), so that a way that is added or lost moves only the
domains that it takes or had.
"""

import asyncio
import errno
import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
from python_socks.async_.asyncio import Proxy

from pipeline.mail.smtp.errors import EgressError

P = TypeVar("P", bound=asyncio.Protocol)

SOCKS_PORT = 1080
ABOUT_THE_HOST = frozenset({1, 3, 4, 5, 6})
"""Replies of a SOCKS5 proxy (RFC 1928 6) that tell of the host: failure, unreachable, refused, expired."""


class Egress(Protocol):
    """One way to reach mail hosts. Its `str` is fit for logs: it holds no password."""

    def leads_to(self, ip: str) -> bool:
        """Whether it can reach addresses of this family."""
        ...

    async def connect(self, protocol: Callable[[], P], ip: str, port: int) -> P:
        """Open a connection. Raises OSError of the host's, EgressError if it was never reached."""
        ...


@dataclass(frozen=True, slots=True)
class DefaultAddress:
    """Whatever address the machine chooses."""

    def leads_to(self, _ip: str) -> bool:
        """Whether it can reach addresses of this family."""
        return True

    async def connect(self, protocol: Callable[[], P], ip: str, port: int) -> P:
        """Open a connection. Raises OSError."""
        _, made = await asyncio.get_running_loop().create_connection(protocol, ip, port)
        return made


@dataclass(frozen=True, slots=True)
class SourceAddress:
    """An address of this machine."""

    ip: str

    def __str__(self) -> str:
        return self.ip

    def leads_to(self, ip: str) -> bool:
        """Whether it is of the same family."""
        return ipaddress.ip_address(ip).version == ipaddress.ip_address(self.ip).version

    async def connect(self, protocol: Callable[[], P], ip: str, port: int) -> P:
        """Open a connection. Raises OSError of the host's, EgressError if the address isn't ours."""
        loop = asyncio.get_running_loop()
        try:
            _, made = await loop.create_connection(protocol, ip, port, local_addr=(self.ip, 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise EgressError(f"The source address {self} is not one of this machine's.") from error
            raise
        return made


@dataclass(frozen=True, slots=True)
class SocksProxy:
    """A SOCKS5 proxy (RFC 1928), with a name and password (RFC 1929) or without."""

    host: str
    port: int = SOCKS_PORT
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "SocksProxy":
        """Read `socks5://user:password@host:port`; user and password may be percent-encoded, or missing."""
        parts = urlsplit(url)
        username, password = (unquote(text) if text else None for text in (parts.username, parts.password))
        return cls(parts.hostname or "", parts.port or SOCKS_PORT, username, password)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def leads_to(self, _ip: str) -> bool:
        """Whether it can reach addresses of this family: only it knows."""
        return True

    async def connect(self, protocol: Callable[[], P], ip: str, port: int) -> P:
        """Open a connection. Raises OSError of the host's, EgressError if the proxy won't."""
        proxy = Proxy(ProxyType.SOCKS5, self.host, self.port, self.username, self.password)
        try:
            sock = await proxy.connect(ip, port)
        except ProxyError as error:
            if error.error_code in ABOUT_THE_HOST:
                raise OSError(str(error)) from error
            raise EgressError(f"The SOCKS5 proxy {self} refused: {error}.") from error
        except (ProxyConnectionError, ProxyTimeoutError, OSError) as error:
            raise EgressError(f"The SOCKS5 proxy {self} can't be reached.") from error
        _, made = await asyncio.get_running_loop().create_connection(protocol, sock=sock)
        return made


class EgressPool:
    """All ways of a process: source addresses and proxies, or the machine's default address without any."""

    def __init__(self, source_ips: Iterable[str] = (), proxies: Iterable[SocksProxy] = ()) -> None:
        self._ways: Sequence[Egress] = [*map(SourceAddress, source_ips), *proxies] or [DefaultAddress()]

    def own(self, domain: str, ip: str) -> Egress | None:
        """Give the domain's own way to its host; None if none leads there."""
        ways = [way for way in self._ways if way.leads_to(ip)]
        return min(ways, key=lambda way: _rank(domain, way)) if len(ways) > 1 else next(iter(ways), None)

    def towards(self, domain: str, ip: str) -> Sequence[Egress]:
        """Give the ways to a domain's host, the domain's own first. Raises EgressError if none leads there."""
        ways = [way for way in self._ways if way.leads_to(ip)]
        if not ways:
            raise EgressError(f"No source address of ours is of the family of {ip}.")
        return sorted(ways, key=lambda way: _rank(domain, way)) if len(ways) > 1 else ways


def _rank(domain: str, way: Egress) -> bytes:
    return hashlib.sha256(f"{domain} {way}".encode()).digest()
