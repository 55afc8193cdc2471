"""Name servers on loopback, over UDP and TCP, with every oddity that the DNS is known for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

ALIASES_FOLLOWED = 20
LARGEST = 65535
SOA = "ns.example. hostmaster.example. 1 3600 600 86400 300"

Answer = dns.message.Message | bytes | None
Oddity = Callable[[dns.message.QueryMessage, bool], Answer]
"""What comes back to a query; the flag tells TCP from UDP. None is silence."""
Zone = Mapping[tuple[str, str], Sequence[str] | Oddity]
"""Records, or what is odd about them, by name and type; a name that begins with `*` is a wildcard."""


@dataclass
class Asked:
    """What a name server was asked: name as it came, type, transport."""

    questions: list[tuple[str, str, str]]

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.questions]


def failing(rcode: dns.rcode.Rcode, *reasons: tuple[int, str]) -> Oddity:
    """Answer with an error, and its reasons (RFC 8914) as (code, text)."""

    def answer(query: dns.message.QueryMessage, over_tcp: bool) -> Answer:
        response = dns.message.make_response(query)
        response.set_rcode(rcode)
        response.use_edns(0, options=[dns.edns.EDEOption(code, text or None) for code, text in reasons])
        return response

    return answer


servfail = failing(dns.rcode.SERVFAIL)
refused = failing(dns.rcode.REFUSED)
bogus = failing(dns.rcode.SERVFAIL, (6, "signature crypto failed"))


def silent(query: dns.message.QueryMessage, over_tcp: bool) -> Answer:
    return None


def empty(query: dns.message.QueryMessage, over_tcp: bool) -> Answer:
    """No error, no records, no SOA."""
    return dns.message.make_response(query)


def lame(query: dns.message.QueryMessage, over_tcp: bool) -> Answer:
    """A server that is not responsible, and points to the root."""
    response = dns.message.make_response(query)
    response.authority.append(dns.rrset.from_text(".", 300, "IN", "NS", "a.root-servers.net."))
    return response


def garbage(query: dns.message.QueryMessage, over_tcp: bool) -> Answer:
    return query.to_wire()[:2] + b"\x80\x00garbage"


def truncated(*records: str) -> Oddity:
    """Records that do not fit into a datagram."""

    def answer(query: dns.message.QueryMessage, over_tcp: bool) -> Answer:
        response = dns.message.make_response(query)
        if not over_tcp:
            response.flags |= dns.flags.TC
            return response
        question = query.question[0]
        response.answer.append(dns.rrset.from_text(question.name, 300, "IN", question.rdtype, *records))
        return response

    return answer


class _Server(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone, ttl: int, chases: bool) -> None:
        self.zone = zone
        self.ttl = ttl
        self.chases = chases
        self.asked = Asked([])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        answer = self._answer(data, over_tcp=False)
        if answer is not None:
            self.transport.sendto(answer, addr)

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        answer = self._answer(await reader.readexactly(size), over_tcp=True)
        if answer is not None:
            writer.write(len(answer).to_bytes(2, "big") + answer)
            await writer.drain()
        writer.close()

    def _answer(self, data: bytes, over_tcp: bool) -> bytes | None:
        query = dns.message.from_wire(data)
        assert isinstance(query, dns.message.QueryMessage)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.asked.questions.append((name, kind, "tcp" if over_tcp else "udp"))
        known = self._find(name, kind)
        answer = known(query, over_tcp) if callable(known) else self._respond(query, name, kind)
        return answer.to_wire(max_size=LARGEST) if isinstance(answer, dns.message.Message) else answer

    def _respond(self, query: dns.message.QueryMessage, name: str, kind: str) -> dns.message.Message:
        response = dns.message.make_response(query)
        for _ in range(ALIASES_FOLLOWED):
            records, target = self._find(name, kind), self._find(name, "CNAME")
            if records and not callable(records):
                response.answer.append(dns.rrset.from_text(f"{name}.", self.ttl, "IN", kind, *records))
                return response
            if not target or callable(target):
                break
            alias = dns.rrset.from_text(f"{name}.", self.ttl, "IN", "CNAME", *target)
            if alias not in response.answer:
                response.answer.append(alias)
            name = target[0].rstrip(".")
            if not self.chases:
                return response
        else:
            return response
        if not self._exists(name):
            response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(dns.rrset.from_text("test.", self.ttl, "IN", "SOA", SOA))
        return response

    def _find(self, name: str, kind: str) -> Sequence[str] | Oddity:
        name = name.lower()
        if (name, kind) in self.zone:
            return self.zone[name, kind]
        if any(known == name for known, _ in self.zone):
            return ()
        return self.zone.get((f"*.{name.partition('.')[2]}", kind), ())

    def _exists(self, name: str) -> bool:
        above = name.lower().partition(".")[2]
        return any(known in (name.lower(), f"*.{above}") for known, _ in self.zone)


@asynccontextmanager
async def odd_name_servers(
    *zones: Zone, ttl: int = 300, chases: bool = True
) -> AsyncIterator[tuple[list[tuple[str, int]], list[Asked]]]:
    """Serve each zone on a server of its own; gives their addresses and what they were asked.

    Servers that do not chase an alias answer with the alias alone.
    """
    loop = asyncio.get_running_loop()
    addresses, asked = list[tuple[str, int]](), list[Asked]()
    async with AsyncExitStack() as stack:
        for zone in zones:
            server = _Server(zone, ttl, chases)
            tcp = await stack.enter_async_context(await asyncio.start_server(server.serve_tcp, "127.0.0.1", 0))
            address = tcp.sockets[0].getsockname()[:2]
            transport, _ = await loop.create_datagram_endpoint(lambda server=server: server, local_addr=address)
            stack.callback(transport.close)
            addresses.append(address)
            asked.append(server.asked)
        yield addresses, asked
