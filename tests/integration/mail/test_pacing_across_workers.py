"""Limits on connections over several real processes, counted where they arrive: at the mail server."""

import asyncio
import json
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from pipeline.mail.replies.meaning import Meaning
from tests.unit.mail.servers.scripted_servers import mail_host, name_server
from worker.pacing.registry import LEASE

pytestmark = pytest.mark.proof

PROGRAM = Path(__file__).parent / "probing_process.py"
SESSION_SECONDS = 0.02


@dataclass
class Provider:
    """Mail hosts of one provider, on addresses of their own. They count connections and accept no more than `most`.

    `refusals` holds, for each refused connection, the number of answers before it.
    """

    most: int = 1000
    at_once: Counter[str] = field(default_factory=Counter)
    most_at_host: int = 0
    most_in_all: int = 0
    refusals: list[int] = field(default_factory=list)
    answers: int = 0

    async def talk(self, ip: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.at_once[ip] += 1
        self.most_at_host = max(self.most_at_host, self.at_once[ip])
        self.most_in_all = max(self.most_in_all, self.at_once.total())
        try:
            await self._converse(reader, writer, accepted=self.at_once[ip] <= self.most)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client disconnected
        finally:
            self.at_once[ip] -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, accepted: bool) -> None:
        if not accepted:
            self.refusals.append(self.answers)
            writer.write(b"421 4.7.0 mx.test Error: too many connections\r\n")
            return
        reply, command = mail_host("grace"), ""
        while command != "QUIT":
            writer.write((reply(command) or b"") + b"\r\n")
            command = (await reader.readuntil(b"\r\n")).decode().rstrip()
            self.answers += command.startswith("RCPT")
            await asyncio.sleep(SESSION_SECONDS / 4)


@dataclass
class ProbingProcesses:
    """Starts processes that probe domains at a provider's hosts."""

    options: dict[str, Any]
    hosts: int

    async def start(self, number: int, *, hold: bool = False, host: int | None = None, **limits: int) -> Process:
        """Start one that probes `number` domains, at all hosts in turn or at a single one."""
        domains = [f"d{n}-{n % self.hosts if host is None else host}.test" for n in range(number)]
        options = {**self.options, "per_provider": 1000, "hold": hold, "domains": domains, **limits}
        return await asyncio.create_subprocess_exec(sys.executable, PROGRAM, json.dumps(options), stdout=PIPE)


async def meanings(processes: Sequence[Process]) -> Counter[str]:
    """The meanings that all of them print, once they have ended."""
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    return Counter(line for output, _ in outputs for line in output.decode().split())


@asynccontextmanager
async def served(provider: Provider, redis_url: str, hosts: int = 1) -> AsyncIterator[ProbingProcesses]:
    """Run the provider's hosts, and start processes that reach them. Each domain d<n>-<host>.test is at that host."""
    zone: dict[tuple[str, str], list[str]] = {}
    async with AsyncExitStack() as stack:
        port = 0
        for host in range(hosts):
            ip = f"127.9.0.{host + 1}"
            zone[f"mx{host}.big.test", "A"] = [ip]
            zone |= {(f"d{n}-{host}.test", "MX"): [f"10 mx{host}.big.test."] for n in range(100)}
            server = await asyncio.start_server(lambda r, w, ip=ip: provider.talk(ip, r, w), ip, port)
            stack.callback(server.close)
            port = server.sockets[0].getsockname()[1]
        _, (dns_host, dns_port) = await stack.enter_async_context(name_server(zone))
        options = {"dns_host": dns_host, "dns_port": dns_port, "smtp_port": port, "redis_url": redis_url}
        yield ProbingProcesses(options, hosts)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(100):
            await scenario()

    asyncio.run(limited())


@pytest.fixture
def url(redis_client: redis.Redis, valkey_url: str) -> str:
    """The URL of an empty Redis."""
    return valkey_url


def test_no_host_and_no_provider_ever_sees_more_connections_than_configured(url: str) -> None:
    provider, answers = Provider(), Counter[str]()

    async def scenario() -> None:
        async with served(provider, url, hosts=3) as processes:
            answers.update(await meanings([await processes.start(40, per_host=2, per_provider=5) for _ in range(3)]))

    run(scenario)

    assert (provider.most_at_host, provider.most_in_all) == (2, 5)
    assert answers == {Meaning.ACCEPTED: 120}


def test_connections_adapt_to_what_a_server_accepts_and_every_probe_gets_an_answer(url: str) -> None:
    provider, answers = Provider(most=3), Counter[str]()

    async def scenario() -> None:
        async with served(provider, url) as processes:
            answers.update(await meanings([await processes.start(60, per_host=20) for _ in range(3)]))

    run(scenario)

    assert answers == {Meaning.ACCEPTED: 180}
    assert provider.refusals, "no connection was refused, so that there was no limit to learn"
    assert max(provider.refusals) < provider.answers / 2, "connections were refused after the limit was known"


def test_slots_of_processes_that_were_killed_or_stopped_are_free_again_within_the_lease(url: str) -> None:
    provider, seconds = Provider(), list[float]()

    async def scenario() -> None:
        async with served(provider, url, hosts=2) as processes:
            killed, stopped = [await processes.start(1, hold=True, host=host, per_host=1) for host in range(2)]
            for holder in (killed, stopped):
                assert holder.stdout
                assert (await holder.stdout.readline()).decode().strip() == Meaning.ACCEPTED
            killed.kill()
            stopped.send_signal(signal.SIGSTOP)
            started = time.monotonic()
            try:
                assert await meanings([await processes.start(2, per_host=1)]) == {Meaning.ACCEPTED: 2}
            finally:
                stopped.kill()
            seconds.append(time.monotonic() - started)
            await asyncio.gather(killed.wait(), stopped.wait())

    run(scenario)

    assert seconds[0] < LEASE + 5, "the lease, a poll each second, and the start of the process"
