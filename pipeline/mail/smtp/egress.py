"""Where connections leave from: the machine's default address, configured source addresses, or SOCKS5 proxies.

A domain always has the same egress, in every process and after every restart: greylisting lets only those pass who come
back with the same client address (RFC 6647 2.3), and the hosts of a domain often share their greylist. Egresses are
ranked by a hash of domain and egress (rendezvous hashing), so that adding or removing one changes as few domains as
possible.
"""

import asyncio
import errno
import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError, ProxyType
from python_socks.async_.asyncio import Proxy

from pipeline.mail.smtp.errors import EgressError

P = TypeVar("P", bound=asyncio.Protocol)

SOCKS_PORT = 1080
ABOUT_THE_HOST = frozenset({1, 3, 4, 5, 6})
"""Reply codes of a SOCKS5 proxy (RFC 1928 6) that concern the mail host: failure, unreachable, refused, expired."""


class Egress(Protocol):
    """A source address or proxy from which mail hosts are reached. Its `str` contains no password."""

    def leads_to(self, ip: str) -> bool:
        """Say whether addresses of this family can be reached from here."""
        ...

    async def connect(self, protocol: Callable[[], P], ip: str, port: int) -> P:
        """Open a connection. Raises OSError if the host is at fault, EgressError if the egress is."""
        ...


@dataclass(frozen=True, slots=True)
class DefaultAddress:
    """The address that the machine chooses itself."""

    def leads_to(self, _ip: str) -> bool:
        return True

    async def connect(self, protocol: Callable[[], P], ip: str, port: int) -> P:
        _, made = await asyncio.get_running_loop().create_connection(protocol, ip, port)
        return made


@dataclass(frozen=True, slots=True)
class SourceAddress:
    """An address of this machine."""

    ip: str

    def __str__(self) -> str:
        return self.ip

    def leads_to(self, ip: str) -> bool:
        return ipaddress.ip_address(ip).version == ipaddress.ip_address(self.ip).version

    async def connect(self, protocol: Callable[[], P], ip: str, port: int) -> P:
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
        """Parse `socks5://user:password@host:port`; user and password may be percent-encoded, or missing."""
        parts = urlsplit(url)
        username, password = (unquote(text) if text else None for text in (parts.username, parts.password))
        return cls(parts.hostname or "", parts.port or SOCKS_PORT, username, password)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def leads_to(self, _ip: str) -> bool:
        """Always true: only the proxy knows which addresses it can reach."""
        return True

    async def connect(self, protocol: Callable[[], P], ip: str, port: int) -> P:
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
    """The source addresses and proxies of a process, or the machine's default address if there are none."""

    def __init__(self, source_ips: Iterable[str] = (), proxies: Iterable[SocksProxy] = ()) -> None:
        self._egresses: Sequence[Egress] = [*map(SourceAddress, source_ips), *proxies] or [DefaultAddress()]

    def own(self, domain: str, ip: str) -> Egress | None:
        """Return the domain's own egress to its host; None if the host cannot be reached from any."""
        egresses = [egress for egress in self._egresses if egress.leads_to(ip)]
        return min(egresses, key=partial(_rank, domain)) if len(egresses) > 1 else next(iter(egresses), None)

    def towards(self, domain: str, ip: str) -> Sequence[Egress]:
        """Return the egresses to a domain's host, the domain's own first. Raises EgressError if there are none."""
        egresses = [egress for egress in self._egresses if egress.leads_to(ip)]
        if not egresses:
            raise EgressError(f"No source address is of the same family as {ip}.")
        return sorted(egresses, key=partial(_rank, domain)) if len(egresses) > 1 else egresses


def _rank(domain: str, egress: Egress) -> bytes:
    return hashlib.sha256(f"{domain} {egress}".encode()).digest()
