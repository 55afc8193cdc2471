"""Hostile name servers and mail servers, each at an address of 127.66.0.0/16, and contacts at their domains.

For `hostile.py`: `async with hostile_servers(smtp_port, ordinary_dns) as servers` runs them until the block ends. The
engine under test uses `servers.nameserver` as its resolver, which forwards queries for all other domains, and works
`servers.contacts(...)`. Run alone, it works contacts at each domain in both stages and ends in one line of JSON: after
how many seconds each domain's contacts were done, which CONTACT_TIMEOUT_SECONDS bounds, the processor time, and the
longest time for which the event loop was blocked.
"""

import argparse
import asyncio
import json
import multiprocessing
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from pipeline.contacts import Batch, Contact
from pipeline.lookup.providers.waterfall import NO_SOURCES
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.outcomes import Outcome
from pipeline.stages import stage_named

ZONE = "hostile.test."
NAMESERVER_IP = "127.66.0.1"
MANY = 1000
LARGEST = 65535
DRIP_SECONDS = 0.5
HELLO = b"250-host.test\r\n250 8BITMIME\r\n"
LETTERS = "abcdefghijklmnopqrstuvwxyz"

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Zone = Mapping[tuple[str, str], Sequence[str]]

# Mail servers


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Behave like an ordinary server until the first RCPT."""
    writer.write(b"220 host.test ESMTP\r\n")
    while not (command := await reader.readuntil(b"\r\n")).startswith(b"RCPT"):
        writer.write(HELLO if command.startswith(b"EHLO") else b"250 Ok\r\n")


async def drips(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a byte of the greeting every half second, for ever."""
    await _repeat(writer, b"2", DRIP_SECONDS)


async def drips_replies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a byte of the first reply to RCPT every half second, for ever."""
    await _greet(reader, writer)
    await _repeat(writer, b"5", DRIP_SECONDS)


async def never_ends_a_line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send one endless line as fast as it is read."""
    await _greet(reader, writer)
    await _repeat(writer, b"5" * 65536)


async def never_ends_a_reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send lines of one endless reply as fast as they are read."""
    await _greet(reader, writer)
    await _repeat(writer, b"550-no\r\n" * 5000)


async def sends_blank_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send blank lines as fast as they are read."""
    await _greet(reader, writer)
    await _repeat(writer, b"\r\n" * 30_000)


def replies(text: bytes, seconds: float = 0.0) -> Behaviour:
    """Reply to each RCPT with this text, after so many seconds."""

    async def serve_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _greet(reader, writer)
        for number in range(MANY):
            await asyncio.sleep(seconds)
            writer.write(text % number)
            while not (command := await reader.readuntil(b"\r\n")).startswith(b"RCPT"):
                writer.write(b"221 Bye\r\n" if command.startswith(b"QUIT") else b"250 Ok\r\n")

    return serve_client


def _lines(pattern: bytes) -> bytes:
    """A reply of the greatest length allowed, with a number in it that makes each reply different."""
    line = (pattern * 2000)[:2000]
    return b"550-" + line + b"\r\n" + (b"550-" + line + b"\r\n") * 97 + b"550 %d\r\n"


async def _repeat(writer: asyncio.StreamWriter, data: bytes, seconds: float = 0.0) -> None:
    while not writer.is_closing():
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(seconds)


MAIL_SERVERS: Mapping[str, Behaviour] = {
    "drips": drips,
    "drips-replies": drips_replies,
    "endless-line": never_ends_a_line,
    "endless-reply": never_ends_a_reply,
    "blank-lines": sends_blank_lines,
    "slow-replies": replies(b"550 no %d\r\n", 19),
    # Replies that used to occupy a process for seconds, minutes or hours.
    "colons": replies(b"550 %d a:a:a:" + b"a" * 900 + b"g\r\n"),
    "at-signs": replies(_lines(b"<@@@")),
    "words": replies(_lines(b"w")),
    "dots": replies(b"550 %d " + b"." * 900 + b"\r\n"),
    "blanks": replies(b"550 %d" + b" -" * 450 + b"\r\n"),
}

# Name servers


def _zone() -> dict[tuple[str, str], Sequence[str]]:
    """The records of all domains. Queries for a name without any get no answer."""
    zone: dict[tuple[str, str], Sequence[str]] = {}
    for number, name in enumerate(MAIL_SERVERS):
        zone[f"{name}.{ZONE}", "MX"] = [f"10 mx.{name}.{ZONE}"]
        zone[f"mx.{name}.{ZONE}", "A"] = [_mail_ip(number)]
    zone[f"thousand-hosts.{ZONE}", "MX"] = [f"{number} mx{number}.silent.{ZONE}" for number in range(MANY)]
    zone[f"thousand-addresses.{ZONE}", "MX"] = [f"10 mx.thousand-addresses.{ZONE}"]
    zone[f"mx.thousand-addresses.{ZONE}", "A"] = [f"127.67.{n // 250}.{n % 250 + 1}" for n in range(MANY)]
    zone[f"aliases.{ZONE}", "CNAME"] = [f"a0.aliases.{ZONE}"]
    for number in range(MANY):
        zone[f"a{number}.aliases.{ZONE}", "CNAME"] = [f"a{number + 1}.aliases.{ZONE}"]
    zone[f"large.{ZONE}", "TXT"] = [f'"{number:0200}"' for number in range(250)]
    return zone


DNS_ONLY = ("thousand-hosts", "thousand-addresses", "aliases", "large", "silent")


def _mail_ip(number: int) -> str:
    return f"127.66.1.{number + 1}"


class _NameServer(asyncio.DatagramProtocol):
    """Answers for the hostile zone, and forwards all other queries."""

    def __init__(self, ordinary: tuple[str, int] | None) -> None:
        self._zone, self._ordinary = _zone(), ordinary
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.create_task(self._answer_datagram(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_datagram(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = await self.answer(data)
        if answer is not None:
            if len(answer) > 1232:
                truncated = dns.message.make_response(dns.message.from_wire(data))
                truncated.flags |= dns.flags.TC
                answer = truncated.to_wire()
            self._transport.sendto(answer, addr)

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            answer = await self.answer(data)
            if answer is not None:
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, data: bytes) -> bytes | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        if not name.endswith(ZONE):
            return await self._forward(query)
        stored_type = "CNAME" if (name, "CNAME") in self._zone else "TXT" if (name, "TXT") in self._zone else kind
        records = self._zone.get((name, stored_type))
        if records is None:
            return None
        response = dns.message.make_response(query)
        response.answer.append(dns.rrset.from_text(name, 300, "IN", stored_type, *records))
        return response.to_wire(max_size=LARGEST)

    async def _forward(self, query: dns.message.Message) -> bytes | None:
        if self._ordinary is None:
            refused = dns.message.make_response(query)
            refused.set_rcode(dns.rcode.REFUSED)
            return refused.to_wire()
        try:
            answer, _ = await dns.asyncquery.udp_with_fallback(query, self._ordinary[0], 5, self._ordinary[1])
        except (dns.exception.DNSException, OSError):
            return None
        return answer.to_wire(max_size=LARGEST)


@dataclass(frozen=True)
class HostileServers:
    """Where the name server is; it answers for the hostile domains."""

    nameserver: tuple[str, int]

    @property
    def domains(self) -> Sequence[str]:
        """All hostile domains, each of which misbehaves differently."""
        return [f"{name}.{ZONE}".rstrip(".") for name in (*MAIL_SERVERS, *DNS_ONLY)]

    def contacts(self, each: int = 5) -> list[dict[str, str]]:
        """So many contacts at each domain for a run; their addresses are for a run that only verifies."""
        names = [f"Ada Alder{LETTERS[number // 26]}{LETTERS[number % 26]}" for number in range(each)]
        return [
            {"full_name": name, "domain": domain, "email": f"{name.lower().replace(' ', '.')}@{domain}"}
            for domain in self.domains
            for name in names
        ]


@asynccontextmanager
async def hostile_servers(smtp_port: int, ordinary_dns: tuple[str, int] | None = None) -> AsyncIterator[HostileServers]:
    """Run all of them, the mail servers on this port; `ordinary_dns` answers for all other domains."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        for number, behave in enumerate(MAIL_SERVERS.values()):
            await _start(stack, _until_disconnected(behave), _mail_ip(number), smtp_port)
        name_server = _NameServer(ordinary_dns)
        port = await _start(stack, name_server.serve_tcp, NAMESERVER_IP, 0)
        transport, _ = await loop.create_datagram_endpoint(lambda: name_server, local_addr=(NAMESERVER_IP, port))
        stack.callback(transport.close)
        yield HostileServers((NAMESERVER_IP, port))


async def _start(stack: AsyncExitStack, behave: Behaviour, ip: str, port: int) -> int:
    server = await asyncio.start_server(behave, ip, port)
    stack.callback(server.close)
    bound_port: int = server.sockets[0].getsockname()[1]
    return bound_port


def _until_disconnected(behave: Behaviour) -> Behaviour:
    async def serve_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return serve_client


# Alone


def main() -> None:
    """Work contacts at each domain in both stages."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--contact-timeout", type=float, default=10.0)
    arguments.add_argument("--smtp-port", type=int, default=2566)
    options = arguments.parse_args()
    parent_end, child_end = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=_serve, args=(options.smtp_port, child_end), daemon=True
    )
    process.start()
    try:
        servers: HostileServers = parent_end.recv()
        config = MailNetworkConfig(
            (servers.nameserver,), options.smtp_port, allow_private=True, contact_timeout=options.contact_timeout,
            defer_seconds=(), connect_timeout=options.contact_timeout / 2, command_timeout=options.contact_timeout / 2,
        )  # fmt: skip
        figures = {stage: asyncio.run(_work(stage, servers, config)) for stage in ("email_verify", "email_lookup")}
    finally:
        process.kill()
    print(json.dumps(figures | {"contact_timeout_seconds": options.contact_timeout}))


def _serve(smtp_port: int, pipe: Connection) -> None:
    async def serve() -> None:
        async with hostile_servers(smtp_port) as servers:
            pipe.send(servers)
            await asyncio.Event().wait()

    asyncio.run(serve())


async def _work(stage: str, servers: HostileServers, config: MailNetworkConfig) -> dict[str, object]:
    """Return after how many seconds each domain's contacts were done, and what they cost the process."""
    network, rows = MailNetwork(config), servers.contacts()
    contacts = [
        Contact(
            position,
            email=each["email"] if stage == "email_verify" else "",
            full_name=each["full_name"],
            domain=each["domain"],
        )
        for position, each in enumerate(rows)
    ]
    longest = [0.0]
    watcher = asyncio.create_task(_watch(longest))
    started, processor = time.perf_counter(), time.process_time()
    seconds: dict[str, float] = {}
    async for result in stage_named(stage).stage.work(Batch(contacts), network, NO_SOURCES):
        reason = result.reason if isinstance(result, Outcome) else "deferred"
        domain = rows[result.position]["domain"].partition(".")[0]
        seconds[f"{domain} {reason}"] = round(time.perf_counter() - started, 2)
    watcher.cancel()
    await network.close()
    return {
        "seconds": seconds,
        "processor_seconds": round(time.process_time() - processor, 2),
        "longest_block_ms": round(1000 * longest[0]),
    }


async def _watch(longest: list[float]) -> None:
    """Keep the longest time for which the event loop was blocked, until cancelled."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        longest[0] = max(longest[0], time.perf_counter() - before)


if __name__ == "__main__":
    main()
