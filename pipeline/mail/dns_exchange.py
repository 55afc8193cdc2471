"""One query to one name server and its answer, as octets: over UDP, and over TCP if that is too small (RFC 7766).

Each query has a socket, and so a port, of its own, and an identity that can't be guessed (RFC 5452). The socket is
connected: what comes from elsewhere is not seen, and a server that is not there is noticed at once.
"""

import asyncio
import secrets
import socket
import struct

import dns.message
import dns.name
import dns.rdatatype

from pipeline.mail.plain_dns_answer import PlainAnswer, read_plain

PAYLOAD = 1232
"""Octets of an answer over UDP that no path fragments (DNS flag day 2020)."""
LARGEST = 65535

_RECURSION_DESIRED, _TRUNCATED, _RESPONSE = 0x0100, 0x0200, 0x8000
_HEADER = struct.Struct("!HHHHHH")
_INTERNET = 1
# EDNS (RFC 6891), so that a resolver may say why it failed (RFC 8914).
_OPT = struct.pack("!BHHIH", 0, dns.rdatatype.OPT, PAYLOAD, 0, 0)


async def exchange(
    server: tuple[str, int], name: dns.name.Name, kind: dns.rdatatype.RdataType
) -> dns.message.QueryMessage | PlainAnswer:
    """Ask, and give the response; the time limit is the caller's.

    Raises OSError, EOFError and `dns.exception.DNSException`.
    """
    question = name.to_digestable() + struct.pack("!HH", kind, _INTERNET)
    query = _HEADER.pack(secrets.randbits(16), _RECURSION_DESIRED, 1, 0, 0, 1) + question + _OPT
    answer = await _over_udp(server, query, question)
    if int.from_bytes(answer[2:4], "big") & _TRUNCATED:
        answer = await _over_tcp(server, query)
    if not _is_answer(answer, query, question):
        raise dns.message.NotQueryResponse
    plain = read_plain(answer, kind)
    if plain is not None:
        return plain
    response = dns.message.from_wire(answer)
    if not isinstance(response, dns.message.QueryMessage):
        raise dns.message.NotQueryResponse
    return response


async def _over_udp(server: tuple[str, int], query: bytes, question: bytes) -> bytes:
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.settimeout(0)
        connection.connect(server)
        connection.send(query)
        while True:
            answer = await asyncio.get_running_loop().sock_recv(connection, LARGEST)
            if _is_answer(answer, query, question):
                return answer


async def _over_tcp(server: tuple[str, int], query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        size = int.from_bytes(await reader.readexactly(2), "big")
        return await reader.readexactly(size)
    finally:
        writer.close()


def _is_answer(answer: bytes, query: bytes, question: bytes) -> bool:
    """Say whether it answers this query; a server that could not read the question may leave it out."""
    if len(answer) < _HEADER.size or answer[:2] != query[:2]:
        return False
    _, flags, questions, *_ = _HEADER.unpack_from(answer)
    same = answer[_HEADER.size : _HEADER.size + len(question)].lower() == question.lower()
    return bool(flags & _RESPONSE) and (same if questions else bool(flags & 0xF))
