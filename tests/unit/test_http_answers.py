"""Whatever an HTTP server sends as its body, no more of it is read than was asked for."""

import asyncio
import gzip
import zlib
from collections.abc import Callable

import httpx
import pytest

from pipeline.http_answers import ACCEPTED, read_body

MOST = 1000
BOMB = gzip.compress(b"0" * 900_000)


def body_of(body: bytes, *headers: str, repeat: bool = False) -> bytes | None:
    """What is read of a body; with `repeat` it is sent again and again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        length = () if repeat else (f"Content-Length: {len(body)}",)
        writer.write("\r\n".join(["HTTP/1.1 200 OK", "Connection: close", *length, *headers, "", ""]).encode() + body)
        while repeat and not writer.is_closing():
            writer.write(body)
            await writer.drain()
        await writer.drain()
        writer.close()

    async def scenario() -> bytes | None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = "http://{}:{}".format(*server.sockets[0].getsockname())
        client = httpx.AsyncClient(headers=ACCEPTED, trust_env=False)
        async with server, client, client.stream("GET", url) as response:
            return await read_body(response, MOST)

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [("identity", bytes), ("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)],
)
def test_a_body_within_the_bound_is_read(encoding: str, encoded: Callable[[bytes], bytes]) -> None:
    text = b"x" * MOST

    assert body_of(encoded(text), f"Content-Encoding: {encoding}") == text
    assert body_of(encoded(text + b"x"), f"Content-Encoding: {encoding}") is None


def test_of_a_body_without_end_the_beginning_is_enough() -> None:
    assert body_of(b"{" * 500, repeat=True) is None


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (BOMB, "gzip"),
        (gzip.compress(gzip.compress(b"x")), "gzip, gzip"),
        (b"x", "br"),
        (b"not compressed", "gzip"),
        (gzip.compress(b"x" * MOST)[:-9], "gzip"),
    ],
    ids=["a bomb", "twice", "unknown", "no gzip", "cut short"],
)
def test_a_body_that_cannot_be_unpacked_within_the_bound_is_not_read(body: bytes, encoding: str) -> None:
    assert body_of(body, f"Content-Encoding: {encoding}") is None
