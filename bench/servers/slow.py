"""Mail servers that greet late, and their name server: each domain has a host of its own, all on loopback."""

import asyncio
import itertools
import multiprocessing
import random
import resource
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from bench.servers.slow_domains import conversation_seconds
from bench.servers.smtp_sink import name_server

GIVEN = ["ada", "ben", "cyd", "dov", "eve", "fay", "gus", "hal", "ida", "jon"]
FAMILY = ["stone", "marsh", "field", "brook", "woods", "hills", "lakes", "river", "banks", "crest"]
SEED = 3
BACKLOG = 128


@dataclass(frozen=True, slots=True)
class SlowServers:
    """The people whose mailboxes there are, by domain, and the settings with which the engine uses these servers."""

    people: Mapping[str, Sequence[tuple[str, str]]]
    nameserver: tuple[str, int]
    smtp_port: int

    @property
    def domains(self) -> list[str]:
        return list(self.people)

    def settings(self) -> dict[str, str]:
        host, port = self.nameserver
        return {
            "DNS_RESOLVERS": f"{host}:{port}",
            "SMTP_PORT": str(self.smtp_port),
            "SMTP_ALLOW_PRIVATE": "true",
            "SMTP_TIMEOUT_SECONDS": "30",
        }


@contextmanager
def slow_servers(domains: int, each: int) -> Iterator[SlowServers]:
    """Run the servers of so many domains, with so many mailboxes at each, in a process of their own."""
    names = [f"firm{number}.test" for number in range(domains)]
    draw, everybody = random.Random(SEED), list(itertools.product(GIVEN, FAMILY))  # noqa: S311 - no secret
    people = {name: draw.sample(everybody, each) for name in names}
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(people, theirs), daemon=True)
    process.start()
    try:
        with name_server(_zone(names)) as nameserver:
            yield SlowServers(people, nameserver, ours.recv())
    finally:
        process.kill()
        process.join()


def host_ip(number: int) -> str:
    """The address of a domain's mail host."""
    return f"127.84.{number // 250}.{number % 250 + 1}"


def _zone(domains: Sequence[str]) -> dict[tuple[str, str], Sequence[str]]:
    zone: dict[tuple[str, str], Sequence[str]] = {}
    for number, domain in enumerate(domains):
        zone[domain, "MX"], zone[f"mx.{domain}", "A"] = [f"10 mx.{domain}."], [host_ip(number)]
    return zone


def _serve(people: Mapping[str, Sequence[tuple[str, str]]], pipe: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    asyncio.run(_serve_all(people, pipe))


async def _serve_all(people: Mapping[str, Sequence[tuple[str, str]]], pipe: Connection) -> None:
    with socket.create_server((host_ip(0), 0)) as probe:
        port = probe.getsockname()[1]
    for number, (domain, members) in enumerate(people.items()):
        mailboxes = {f"{given}.{family}@{domain}" for given, family in members}
        await asyncio.start_server(_Host(domain, mailboxes).talk, host_ip(number), port, backlog=BACKLOG)
    pipe.send(port)
    await asyncio.Event().wait()


class _Host:
    """A mail host of one domain."""

    def __init__(self, domain: str, mailboxes: set[str]) -> None:
        self._mailboxes, self._greets_after = mailboxes, conversation_seconds(domain)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Greet late, then reply at once until the client leaves."""
        try:
            await asyncio.sleep(self._greets_after)
            writer.write(b"220 mail ESMTP\r\n")
            while line := await reader.readline():
                writer.write(self._reply(line.decode("ascii", "replace").strip()))
                if line[:4].upper() == b"QUIT":
                    break
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _reply(self, line: str) -> bytes:
        verb = line[:4].upper()
        if verb == "RCPT":
            address = line.partition("<")[2].rpartition(">")[0].lower()
            return b"250 2.1.5 Ok\r\n" if address in self._mailboxes else b"550 5.1.1 User unknown\r\n"
        return REPLIES.get(verb, b"502 5.5.2 Command not recognised\r\n")


REPLIES = {
    "EHLO": b"250-mail\r\n250 PIPELINING\r\n",
    "HELO": b"250 mail\r\n",
    "MAIL": b"250 2.1.0 Ok\r\n",
    "RSET": b"250 2.0.0 Ok\r\n",
    "QUIT": b"221 2.0.0 Bye\r\n",
}
