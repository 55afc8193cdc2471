"""Parses the most common DNS responses: the name's own A or MX records, without aliases or errors.

dnspython parses every response, but takes longer for one than we need for a domain's whole SMTP session. It still
parses all others, for example those with host names whose characters must be escaped.
"""

import re
import socket
import struct
from dataclasses import dataclass

import dns.rdatatype

_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHHIH")
_THE_NAME_ASKED_ABOUT = 0xC00C
"""A pointer to the question (RFC 1035 4.1.4), which comes right after the header."""
_RCODE, _TRUNCATED = 0x000F, 0x0200
_INTERNET = 1
_LONGEST_TTL = 2**31 - 1
_READ = (dns.rdatatype.A, dns.rdatatype.MX)
_MOST_POINTERS = 16
"""Compression pointers that are followed in one name; a message could chain hundreds."""
_POINTER, _LONGEST_LABEL, _LONGEST_NAME = 0xC0, 63, 255
_PLAIN_NAME = re.compile(rb"(?:[A-Za-z0-9_-]+\.)+")


@dataclass(frozen=True, slots=True)
class PlainAnswer:
    """Records in presentation form, and the shortest of their TTLs."""

    records: tuple[str, ...]
    ttl: int


def read_plain(message: bytes, kind: dns.rdatatype.RdataType) -> PlainAnswer | None:
    """Return the records of a response to a query for `kind`; None if dnspython must parse it."""
    try:
        _, flags, questions, answers, _, _ = _HEADER.unpack_from(message)
        if flags & (_RCODE | _TRUNCATED) or questions != 1 or not answers or kind not in _READ:
            return None
        return _read_records(message, kind, answers)
    except (struct.error, ValueError, IndexError, OSError):
        return None


def _read_records(message: bytes, kind: dns.rdatatype.RdataType, answers: int) -> PlainAnswer | None:
    position, records, ttls = message.index(0, _HEADER.size) + 5, dict[str, None](), list[int]()
    for _ in range(answers):
        owner, rdtype, rdclass, ttl, size = _RECORD.unpack_from(message, position)
        position += _RECORD.size
        if (owner, rdtype, rdclass) != (_THE_NAME_ASKED_ABOUT, kind, _INTERNET) or ttl > _LONGEST_TTL:
            return None
        records[_text(message, kind, position, size)] = None
        ttls.append(ttl)
        position += size
    return PlainAnswer(tuple(records), min(ttls))


def _text(message: bytes, kind: dns.rdatatype.RdataType, start: int, size: int) -> str:
    """Return a record's data as text. Raises ValueError if it is not `size` octets long."""
    if kind == dns.rdatatype.A:
        return socket.inet_ntoa(message[start : start + size])
    exchange, end = _name(message, start + 2)
    if end != start + size:
        raise ValueError("The data of an MX record is longer or shorter than it says.")
    return f"{int.from_bytes(message[start : start + 2], 'big')} {exchange}"


def _name(message: bytes, start: int) -> tuple[str, int]:
    """Return a name, compressed or not (RFC 1035 4.1.4), and where it ends. Raises ValueError and IndexError."""
    name, position, lowest, end, pointers = b"", start, start, 0, 0
    while size := message[position]:
        if size >= _POINTER:
            end = end or position + 2
            position = int.from_bytes(message[position : position + 2], "big") - (_POINTER << 8)
            pointers += 1
            if position >= lowest or pointers > _MOST_POINTERS:
                raise ValueError("A pointer leads forward, or there are too many.")
            lowest = position
        else:
            name += message[position + 1 : position + 1 + size] + b"."
            position += 1 + size
            if size > _LONGEST_LABEL or len(name) >= _LONGEST_NAME:
                raise ValueError("A label or a name is too long.")
    if name and not _PLAIN_NAME.fullmatch(name):
        raise ValueError("A name has characters that must be escaped.")
    return name.decode() or ".", end or position + 1
