"""Name and mail servers on loopback that send exactly what a test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import Meaning

Reply = Callable[[str], bytes | None]
"""The reply of a mail server to a command line; None hangs up. The first "command" is "", which gets the banner."""

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LONGEST_S = 60
"""A client that has not come to an end by then never will."""
SILENT = "silent"
SERVFAIL = "servfail"


@dataclass
class Seen:
    """What a server saw."""

    commands: list[str] = field(default_factory=list)
    sessions: int = 0
    at_once: int = 0
    most_at_once: int = 0
    everybody_left: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.everybody_left.set()

    def came(self) -> None:
        self.sessions += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.everybody_left.clear()

    def left(self) -> None:
        self.at_once -= 1
        if not self.at_once:
            self.everybody_left.set()

    def verbs(self, verb: str) -> list[str]:
        return [command for command in self.commands if command.startswith(verb)]


def mail_host(
    *mailboxes: str,
    pipelining: bool = True,
    replies: Mapping[str, bytes | None] | None = None,
    unknown: bytes = b"550 5.1.1 no such user here",
) -> Reply:
    """An ordinary server that has these mailboxes; `replies` has other replies, by how a command begins."""
    special = dict(replies or {})
    hello = b"250-host.test\r\n" + (b"250-PIPELINING\r\n" if pipelining else b"") + b"250 8BITMIME"

    def reply(command: str) -> bytes | None:
        for beginning, answer in special.items():
            if command.startswith(beginning) and (beginning or not command):
                return answer
        verb = command[:4].upper()
        if verb == "RCPT":
            local = command[9:].partition("@")[0]
            return b"250 2.1.5 Ok" if local in mailboxes else unknown
        return {"": b"220 host.test ESMTP", "EHLO": hello, "QUIT": b"221 2.0.0 Bye"}.get(verb, b"250 2.0.0 Ok")

    return reply


@dataclass
class Greylist:
    """A server that defers each recipient at first; `behind` answers for those that it knows."""

    behind: Reply
    reply: bytes = b"451 4.7.1 Greylisted, come back later"
    known: set[str] = field(default_factory=set)
    new: set[str] = field(default_factory=set)

    def __call__(self, command: str) -> bytes | None:
        if not command.startswith("RCPT") or command in self.known:
            return self.behind(command)
        self.new.add(command)
        return self.reply

    def let_time_pass(self) -> None:
        """Know from now on the recipients that came until now."""
        self.known |= self.new


def talk(reply: Reply, seen: Seen) -> Talk:
    """A conversation by lines: a reply to each command, until the client or the script hangs up."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = ""
        while (answer := reply(command)) is not None:
            writer.write(answer + b"\r\n")
            await writer.drain()
            if command == "QUIT":
                return
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")
            seen.commands.append(command)

    return converse


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a byte now and then, and never a whole line."""
    while not reader.at_eof():
        writer.write(b"2")
        await writer.drain()
        await asyncio.sleep(0.01)


async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept the connection, and nothing else."""
    while await reader.read(65536):
        pass


@asynccontextmanager
async def mail_server(behaviour: Reply | Talk, ip: str = "127.0.0.1", port: int = 0) -> AsyncIterator[tuple[int, Seen]]:
    """Serve one behaviour on an address; gives the port and what was seen."""
    seen, connections = Seen(), set[asyncio.Task[None]]()
    converse = behaviour if asyncio.iscoroutinefunction(behaviour) else talk(behaviour, seen)  # type: ignore[arg-type]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        connections.add(task)  # type: ignore[arg-type]
        seen.came()
        try:
            try:
                await converse(reader, writer)
            finally:
                seen.left()
                writer.close()
            await writer.wait_closed()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()  # the client left, or the test is over
        finally:
            connections.discard(task)  # type: ignore[arg-type]

    server = await asyncio.start_server(serve, ip, port)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()


class NameServer(asyncio.DatagramProtocol):
    """Answers from a table of (name, type) to records; names that are not in it do not exist."""

    def __init__(self, zone: Mapping[tuple[str, str], Sequence[str] | str], ttl: int = 300) -> None:
        self.zone = zone
        self.ttl = ttl
        self.asked: list[tuple[str, str]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        records = self.zone.get((name, kind), ())
        if records == SILENT:
            return
        response = dns.message.make_response(query)
        if records == SERVFAIL:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif not any(known == name for known, _ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif records:
            response.answer.append(dns.rrset.from_text(question.name, self.ttl, "IN", kind, *records))
        self.transport.sendto(response.to_wire(), addr)


@asynccontextmanager
async def name_server(
    zone: Mapping[tuple[str, str], Sequence[str] | str], ttl: int = 300
) -> AsyncIterator[tuple[NameServer, tuple[str, int]]]:
    """Serve a zone; gives the server and its address."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(zone, ttl), local_addr=("127.0.0.1", 0)
    )
    try:
        yield protocol, transport.get_extra_info("sockname")[:2]
    finally:
        transport.close()


@dataclass
class World:
    """Domains with scripted mail servers, and a network that reaches them."""

    network: MailNetwork
    seen: dict[str, Seen]


@asynccontextmanager
async def world(
    domains: Mapping[str, Reply | Talk], web_hosts: Mapping[str, str] | None = None, **config: Any
) -> AsyncIterator[World]:
    """Give each domain a mail host of its own, on its own loopback address. `web_hosts` have an address only."""
    zone: dict[tuple[str, str], Sequence[str] | str] = {(name, "A"): [ip] for name, ip in (web_hosts or {}).items()}
    seen, port = {}, 0
    async with AsyncExitStack() as stack:
        for index, (domain, behaviour) in enumerate(domains.items(), start=10):
            ip = f"127.7.{index // 250}.{index % 250 + 1}"
            zone[domain, "MX"], zone[f"mx.{domain}", "A"] = [f"10 mx.{domain}."], [ip]
            port, seen[domain] = await stack.enter_async_context(mail_server(behaviour, ip, port))
        _, address = await stack.enter_async_context(name_server(zone))
        settings = {"command_timeout": 5.0, **config}
        network = MailNetwork(MailNetworkConfig(nameservers=(address,), smtp_port=port, allow_private=True, **settings))
        stack.push_async_callback(network.close)
        yield World(network, seen)


def probe(
    behaviour: Reply | Talk, locals_: Sequence[str] = ("grace",), rounds: int = 1, **config: Any
) -> tuple[Mapping[str, Answer], Seen]:
    """Probe local parts at one scripted server, in one or several rounds; answers by local part."""

    async def scenario() -> tuple[Mapping[str, Answer], Seen]:
        async with world({"acme.test": behaviour}, **config) as scripted:
            route = await scripted.network.route("acme.test")
            answers: dict[str, Answer] = {}
            async with asyncio.timeout(LONGEST_S), scripted.network.conversation(route) as conversation:
                for start in range(rounds):
                    part = [f"{local}@acme.test" for local in locals_[start::rounds]]
                    answers |= await conversation.probe(part)
            await scripted.network.close()
            return {address.partition("@")[0]: answer for address, answer in answers.items()}, scripted.seen[
                "acme.test"
            ]

    return asyncio.run(scenario())


def meanings(answers: Mapping[str, Answer]) -> dict[str, Meaning]:
    return {local: answer.meaning for local, answer in answers.items()}
