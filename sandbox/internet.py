"""The whole sandbox: starts all servers in a thread of this process, and stops them."""

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from threading import Event
from types import TracebackType
from typing import Self

from sandbox.addresses import advertise_living_hosts, assign_addresses
from sandbox.connections import Connections, close_server
from sandbox.counts import Counts, Tally
from sandbox.dns_server import Answerer, OverTcp, OverUdp
from sandbox.dns_zone import build_zone
from sandbox.domains import Domain
from sandbox.ports import open_on_one_port
from sandbox.recipients import Greylist, MailboxOwner, mailbox_states
from sandbox.smtp_server import MailHost, MailWorld

SHARED_HOST = "mail.sandbox.example"
"""The name of the mail host, in its greeting and in the counts, where all domains share one."""

_BACKLOG = 1024


class Internet:
    """A context manager: the name server and the mail hosts run inside it.

    Every mail host has its own address of 127.53.0.0/16, and all listen on one port. With `shared_address` (to listen
    on) and `advertise` (the address that others reach it by) one mail host serves all domains instead: for containers,
    and for systems whose only loopback address is 127.0.0.1. Hosts that refuse connections still refuse them. All
    people must work at these domains. Times are in seconds. A port of 0 means any free one; entering raises OSError if
    a given port is in use.
    """

    def __init__(
        self,
        people: Iterable[MailboxOwner],
        domains: Sequence[Domain],
        *,
        greylist_seconds: float = 300.0,
        slow_seconds: float = 0.3,
        shared_address: str | None = None,
        advertise: str | None = None,
        dns_port: int = 0,
        smtp_port: int = 0,
    ) -> None:
        if (shared_address is None) != (advertise is None):
            raise ValueError("pass both shared_address and advertise, or neither")
        self.dns_port = dns_port
        self.smtp_port = smtp_port
        self._tally = Tally()
        self._connections = Connections()
        world = MailWorld(
            mailboxes=mailbox_states(people, domains),
            greylist=Greylist(greylist_seconds),
            tally=self._tally,
            slow_seconds=slow_seconds,
            connections=self._connections,
        )
        addresses = assign_addresses(domains)
        if shared_address is None or advertise is None:
            self._dns_bind = self._dns_host = "127.0.0.1"
            self._mail_hosts = _own_hosts(domains, addresses, world)
        else:
            self._dns_bind, self._dns_host = shared_address, advertise
            self._mail_hosts = {shared_address: MailHost(SHARED_HOST, _reachable(domains), world)}
            addresses = advertise_living_hosts(addresses, domains, advertise)
        self._answerer = Answerer(build_zone(domains, addresses), self._tally)

    @property
    def dns_address(self) -> str:
        """The name server, over UDP and TCP, as `address:port`."""
        return f"{self._dns_host}:{self.dns_port}"

    @property
    def counts(self) -> Counts:
        """The counts since the start or the last reset."""
        return self._tally.read()

    def reset_counts(self) -> None:
        self._tally.reset()

    def settings(self) -> dict[str, str]:
        """The engine's settings for using the sandbox."""
        return {
            "DNS_RESOLVERS": self.dns_address,
            "SMTP_PORT": str(self.smtp_port),
            "SMTP_ALLOW_PRIVATE": "true",
        }

    def __enter__(self) -> Self:
        ready = Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox")
        self._served = self._thread.submit(asyncio.run, self._serve(ready))
        self._served.add_done_callback(lambda _: ready.set())
        ready.wait()
        if self._served.done():
            self._thread.shutdown()
            self._served.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.shutdown()
        self._served.result()

    async def _serve(self, ready: Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        async with AsyncExitStack() as servers:
            servers.push_async_callback(self._connections.hang_up)
            self.dns_port = await open_on_one_port(servers, self.dns_port, self._open_dns)
            self.smtp_port = await open_on_one_port(servers, self.smtp_port, self._open_smtp)
            ready.set()
            await self._stopped.wait()

    async def _open_dns(self, servers: AsyncExitStack, port: int) -> None:
        tcp = await self._loop.create_server(
            lambda: OverTcp(self._answerer, self._connections), self._dns_bind, port, backlog=_BACKLOG
        )
        servers.push_async_callback(close_server, tcp)
        udp, _ = await self._loop.create_datagram_endpoint(
            lambda: OverUdp(self._answerer), local_addr=(self._dns_bind, port)
        )
        servers.callback(udp.close)

    async def _open_smtp(self, servers: AsyncExitStack, port: int) -> None:
        for address, host in self._mail_hosts.items():
            server = await self._loop.create_server(host.new_connection, address, port, backlog=_BACKLOG)
            servers.push_async_callback(close_server, server)


def _own_hosts(domains: Sequence[Domain], addresses: dict[str, str], world: MailWorld) -> dict[str, MailHost]:
    served: dict[str, list[Domain]] = {}
    for domain in domains:
        for host in domain.living_hosts:
            served.setdefault(host, []).append(domain)
    return {addresses[host]: MailHost(host, its_domains, world) for host, its_domains in served.items()}


def _reachable(domains: Iterable[Domain]) -> list[Domain]:
    return [domain for domain in domains if domain.living_hosts]
