"""Reads the bodies of HTTP answers up to a bound, whatever the server sends and however it is compressed."""

import zlib
from collections.abc import Mapping

import httpx

ACCEPTED: Mapping[str, str] = {"Accept-Encoding": "gzip"}
"""Sent with a request whose answer `read_body` reads: a compressed one is unpacked here, no further than the bound."""
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_ENCODINGS = ("gzip", "x-gzip", "deflate")


async def read_body(response: httpx.Response, most: int) -> bytes | None:
    """Read the body of a streamed response; None if it is longer than `most` bytes, or can't be unpacked.

    Raises `httpx.TransportError`. How long it may take is for the caller to say.
    """
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity", *_ENCODINGS):
        return None
    raw = bytearray()
    async for piece in response.aiter_raw():
        raw += piece
        if len(raw) > most:
            return None
    return _unpacked(bytes(raw), most) if encoding in _ENCODINGS else bytes(raw)


def _unpacked(raw: bytes, most: int) -> bytes | None:
    """The content of compressed bytes; a few of them may hold gigabytes."""
    unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        content = unpacking.decompress(raw, most + 1)
    except zlib.error:
        return None
    return content if unpacking.eof and len(content) <= most else None
