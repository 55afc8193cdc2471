"""One query to one name server and its response: over UDP, and over TCP if that is too small (RFC 7766).

Neither the id nor the port of a query can be guessed (RFC 5452). A port is shared by a few queries that are open at the
same time, and closed with the last of them (docs/decisions/0015). Its socket is connected, so that packets from
elsewhere are dropped, and a server that is not there is noticed at once.
"""

import asyncio
import re
import secrets
import socket
import struct

import dns.exception
import dns.message
import dns.name
import dns.rdatatype

from pipeline.mail.dns.fast_parse import PlainAnswer, read_plain

PAYLOAD = 1232
"""Octets of a response over UDP that are not fragmented on any path (DNS flag day 2020)."""
LARGEST = 65535
LARGEST_ODD = 8192
"""Octets of a response that the fast parser cannot read: parsing a larger one takes as long as many lookups."""
AT_A_TIME = 100
"""Datagrams that are read before other tasks get their turn."""
QUERIES_PER_PORT = 8
"""Queries that one port of ours carries before it is closed. An attacker who finds out the port still has to guess the
id of one of so many queries; a port for each query would take more time than the query."""

_RECURSION_DESIRED, _TRUNCATED, _RESPONSE = 0x0100, 0x0200, 0x8000
_HEADER = struct.Struct("!HHHHHH")
_INTERNET = 1
_AFTER_ID = struct.pack("!HHHHH", _RECURSION_DESIRED, 1, 0, 0, 1)
_PLAIN_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}", re.ASCII)
# EDNS (RFC 6891), so that a resolver may say why it failed (RFC 8914).
_OPT = struct.pack("!BHHIH", 0, dns.rdatatype.OPT, PAYLOAD, 0, 0)


class NameServer:
    """One name server, at an IP address and a port."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._port: _Port | None = None

    async def query(
        self, name: str, kind: dns.rdatatype.RdataType, seconds: float
    ) -> dns.message.QueryMessage | PlainAnswer:
        """Send a query, and return the response.

        Raises OSError (TimeoutError among them), EOFError and `dns.exception.DNSException`.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        question = octets_of(name) + struct.pack("!HH", kind, _INTERNET)
        if self._port is None or self._port.is_used_up:
            self._port = _Port(self._address)
        query, answer = await self._port.query(question, seconds)
        if int.from_bytes(answer[2:4], "big") & _TRUNCATED:
            async with asyncio.timeout_at(deadline):
                answer = await _over_tcp(self._address, query)
            if not _is_answer(answer, query[:2], question):
                raise dns.message.NotQueryResponse
        plain = read_plain(answer, kind)
        if plain is not None:
            return plain
        if len(answer) > LARGEST_ODD:
            raise dns.exception.TooBig
        response = dns.message.from_wire(answer)
        if not isinstance(response, dns.message.QueryMessage):
            raise dns.message.NotQueryResponse
        return response


class _Port:
    """A port of ours towards one server: open while a query is, and for at most QUERIES_PER_PORT queries."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._socket: socket.socket | None = None
        self._open: dict[bytes, tuple[bytes, asyncio.Future[bytes]]] = {}
        self._asked = 0

    @property
    def is_used_up(self) -> bool:
        """Whether the next query needs another port."""
        return self._asked >= QUERIES_PER_PORT or (self._asked > 0 and self._socket is None)

    async def query(self, question: bytes, seconds: float) -> tuple[bytes, bytes]:
        """Send a query; return it and its response. Raises OSError, including TimeoutError."""
        loop = asyncio.get_running_loop()
        identity = self._new_id()
        query = identity + _AFTER_ID + question + _OPT
        answered: asyncio.Future[bytes] = loop.create_future()
        self._asked += 1
        self._open[identity] = question, answered
        timer = loop.call_later(seconds, _time_out, answered)
        try:
            self._send(loop, query)
            return query, await answered
        finally:
            timer.cancel()
            del self._open[identity]
            if not self._open:
                self._close(loop)

    def _send(self, loop: asyncio.AbstractEventLoop, query: bytes) -> None:
        """Send; an error may concern an earlier query, which the system reports only now, and once."""
        try:
            self._connected(loop).send(query)
        except OSError as error:
            self._fail(error)

    def _new_id(self) -> bytes:
        while (identity := secrets.token_bytes(2)) in self._open:
            pass
        return identity

    def _connected(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(_family(self._server), socket.SOCK_DGRAM)
            self._socket.setblocking(False)  # noqa: FBT003 - the standard library's own name
            self._socket.connect(self._server)
            loop.add_reader(self._socket, self._read, self._socket)
        return self._socket

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._socket is not None:
            loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _read(self, connection: socket.socket) -> None:
        """Read all responses that have arrived."""
        try:
            for _ in range(AT_A_TIME):
                self._deliver(connection.recv(LARGEST))
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        """Fail all open queries: an error of the server concerns them all."""
        for _, answered in self._open.values():
            if not answered.done():
                answered.set_exception(type(error)(*error.args))

    def _deliver(self, answer: bytes) -> None:
        question, answered = self._open.get(answer[:2], (b"", None))
        if answered is not None and not answered.done() and _is_answer(answer, answer[:2], question):
            answered.set_result(answer)


async def _over_tcp(server: tuple[str, int], query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        size = int.from_bytes(await reader.readexactly(2), "big")
        return await reader.readexactly(size)
    finally:
        writer.close()


def octets_of(name: str) -> bytes:
    """Encode a name (RFC 1035 3.1); for a plain one dnspython would take as long as for the rest of the query."""
    if not _PLAIN_NAME.fullmatch(name):
        return dns.name.from_text(name).to_digestable()
    return b"".join(bytes((len(label),)) + label for label in name.encode().split(b".")) + b"\0"


def _time_out(answered: asyncio.Future[bytes]) -> None:
    if not answered.done():
        answered.set_exception(TimeoutError())


def _family(server: tuple[str, int]) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in server[0] else socket.AF_INET


def _is_answer(answer: bytes, identity: bytes, question: bytes) -> bool:
    """Say whether a response answers this query; a server that could not parse the question may omit it."""
    if len(answer) < _HEADER.size or answer[:2] != identity:
        return False
    _, flags, questions, *_ = _HEADER.unpack_from(answer)
    same = answer[_HEADER.size : _HEADER.size + len(question)].lower() == question.lower()
    return bool(flags & _RESPONSE) and (same if questions else bool(flags & 0xF))
