"""A name server over UDP and TCP (RFC 1035 section 4.2); every answer fits into 512 octets."""

import asyncio
from functools import lru_cache
from typing import cast

from dnslib import RCODE, DNSError, DNSHeader, DNSRecord

from sandbox.connections import Connections
from sandbox.counts import Tally
from sandbox.dns_zone import Zone

_HEADER_OCTETS = 12


class Answerer:
    """Builds the response to a query, and caches the response to each question."""

    def __init__(self, zone: Zone, tally: Tally) -> None:
        self._zone = zone
        self._tally = tally
        self._response = lru_cache(maxsize=10_000)(self._compose)

    def respond(self, query: bytes) -> bytes | None:
        """Return the response, or None if the message is not a query."""
        if len(query) < _HEADER_OCTETS or query[2] & 0x80:
            return None
        self._tally.dns_query()
        message_id, question = query[:2], query[2:]
        return message_id + self._response(question)

    def _compose(self, question: bytes) -> bytes:
        try:
            request = DNSRecord.parse(b"\0\0" + question)
        except DNSError:
            return _without_id(DNSRecord(DNSHeader(qr=1, rcode=RCODE.FORMERR)))
        response = request.reply(ra=1, aa=1)
        answer = self._zone.answer(str(request.q.qname).lower(), request.q.qtype)
        response.header.rcode = answer.rcode
        response.add_answer(*answer.answers)
        response.add_auth(*answer.authority)
        return _without_id(response)


def _without_id(response: DNSRecord) -> bytes:
    packed: bytes = response.pack()
    return packed[2:]


class OverUdp(asyncio.DatagramProtocol):
    """Serves DNS over UDP, one query per datagram."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        response = self._answerer.respond(data)
        if response is not None:
            self._transport.sendto(response, addr)


class OverTcp(asyncio.Protocol):
    """Serves DNS over TCP: any number of queries per connection, each after its length in two octets."""

    def __init__(self, answerer: Answerer, connections: Connections) -> None:
        self._answerer = answerer
        self._connections = connections
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connections.began(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._connections.ended(self._transport)

    def data_received(self, data: bytes) -> None:
        """Answer all complete queries, and keep the incomplete one."""
        self._received += data
        while len(self._received) >= 2:
            end = 2 + int.from_bytes(self._received[:2], "big")
            if len(self._received) < end:
                return
            response = self._answerer.respond(self._received[2:end])
            self._received = self._received[end:]
            if response is not None:
                self._transport.write(len(response).to_bytes(2, "big") + response)
