"""The outside world of the fault suite: its servers answer at a steady pace, except for some hostile mail servers."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

from sandbox.addresses import assign_addresses
from sandbox.domains import Behaviour, Domain, invent_domains
from sandbox.internet import Internet
from sandbox.people import Person, invent_people
from tests.faults.loops import running_loop

SEED = 7
DOMAINS = 60
CONTACTS = 2000
HOSTILE_CONTACTS = 60
REPLY_SECONDS = 0.01
"""Each server's pause before a reply, with which a run takes some seconds but little processor time."""
GARBAGE = b"\x00\xff250-\r\n\r\n999 \xe2\x82\r\n" * 1000


@dataclass(frozen=True, slots=True)
class World:
    """The people in this world, and the settings with which the engine uses its servers."""

    people: Sequence[Person]
    hostile_people: Sequence[Person]
    settings: dict[str, str]


@contextmanager
def running_world() -> Iterator[World]:
    """Name server, mail servers and hostile servers until the block ends."""
    paced = [replace(domain, behaviour=Behaviour.SLOW) for domain in invent_domains(SEED, DOMAINS) if domain.mail_hosts]
    hostile = [_as_hostile(domain) for domain in invent_domains(SEED + 1, len(HOSTILE_BEHAVIOURS))]
    people = invent_people(SEED, CONTACTS, paced)
    hostile_people = invent_people(SEED, HOSTILE_CONTACTS, hostile)
    domains = [*paced, *hostile]
    with Internet([*people, *hostile_people], domains, slow_seconds=REPLY_SECONDS) as internet:
        addresses = assign_addresses(domains)
        with _hostile_servers([addresses[domain.name] for domain in hostile], internet.smtp_port):
            yield World(people, hostile_people, internet.settings())


def _as_hostile(domain: Domain) -> Domain:
    """A domain on an address where the sandbox does not listen, but our own servers do."""
    return replace(
        domain, name=f"hostile-{domain.name}", behaviour=Behaviour.NOTHING_LISTENS, mail_hosts=_host_of(domain)
    )


def _host_of(domain: Domain) -> tuple[str, ...]:
    return (f"hostile-{domain.name}",)


async def _hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept the connection and never send anything."""
    with suppress(ConnectionError):
        await reader.read()
    writer.close()


async def _reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet, then reset the connection."""
    writer.write(b"220 mail\r\n")
    writer.transport.abort()


async def _garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reply to everything with bytes that are not SMTP."""
    writer.write(b"220 mail\r\n")
    with suppress(ConnectionError):
        while await reader.read(1024):
            writer.write(GARBAGE)
            await writer.drain()
    writer.close()


HOSTILE_BEHAVIOURS = (_hang, _reset, _garbage)


@contextmanager
def _hostile_servers(addresses: Sequence[str], port: int) -> Iterator[None]:
    with running_loop("hostile servers") as loop:
        servers = AsyncExitStack()
        asyncio.run_coroutine_threadsafe(_open(servers, addresses, port), loop).result()
        yield
        asyncio.run_coroutine_threadsafe(servers.aclose(), loop).result()


async def _open(servers: AsyncExitStack, addresses: Sequence[str], port: int) -> None:
    for address, behave in zip(addresses, HOSTILE_BEHAVIOURS, strict=True):
        server = await asyncio.start_server(behave, address, port)
        servers.callback(server.close)
