"""Whatever bytes a mail server sends, there is an answer in time, and it is no acceptance."""

import asyncio
import secrets

import pytest

from pipeline.mail.replies.meaning import Meaning
from pipeline.mail.smtp.connect import connect
from pipeline.mail.smtp.errors import SmtpError
from pipeline.mail.smtp.reply_queue import MAX_UNREAD
from tests.unit.mail.servers.scripted_servers import Talk, drips, mail_host, mail_server, probe, world

READ_AT_ONCE = 256 * 1024
"""Bytes that asyncio reads from a socket at once."""
BANNER = b"220 mx.test\r\n"


def sends(data: bytes, *, then_close: bool = False, after: str = "RCPT") -> Talk:
    """A server that is ordinary until a command begins with `after`, and then sends these bytes."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ordinary, command = mail_host("grace", pipelining=False), ""
        while not command.startswith(after) if after else False:
            writer.write((ordinary(command) or b"") + b"\r\n")
            command = (await reader.readuntil(b"\r\n")).decode()
            command = command.rstrip("\r\n")
        writer.write(data)
        await writer.drain()
        while not then_close and await reader.read(65536):
            pass

    return converse


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not reader.at_eof():
        writer.write(b"250 ok\r\n" * 1000)
        await writer.drain()


async def roars(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not reader.at_eof():
        writer.write(secrets.token_bytes(10_000).replace(b"\n", b" "))
        await writer.drain()


HOSTILE: dict[str, Talk] = {
    "silence instead of a banner": sends(b"", after=""),
    "hanging up instead of a banner": sends(b"", then_close=True, after=""),
    "silence instead of an answer": sends(b""),
    "hanging up instead of an answer": sends(b"", then_close=True),
    "half a line": sends(b"250 o"),
    "half a line, then hanging up": sends(b"250 o", then_close=True),
    "half a reply": sends(b"250-more\r\n"),
    "a reply without end": sends(b"250-more\r\n" * 100_000),
    "a line without end": sends(b"2" * 1_000_000),
    "binary": sends(b"\x00\xff\xfe\x80" * 5000),
    "binary lines": sends(b"\x00\xff\r\n" * 5000),
    "another protocol": sends(b"HTTP/1.1 400 Bad Request\r\n\r\n", after=""),
    "a changing code": sends(b"250-yes\r\n550 no\r\n"),
    "several answers to one question": sends(b"250 ok\r\n250 ok\r\n250 ok\r\n"),
    "an unknown code": sends(b"999 ok\r\n"),
    "speaking before being asked": sends(BANNER + b"250 ok\r\n" * 10, after=""),
    "answering before being asked": sends(BANNER + b"250 ok\r\n" * 3, after=""),
    "a slow drip": drips,
    "a flood of replies": floods,
    "a flood of noise": roars,
}


@pytest.mark.parametrize("behaviour", HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_a_server_sends_there_is_an_answer_in_time_and_it_is_no_acceptance(behaviour: Talk) -> None:
    answers, _ = probe(behaviour, command_timeout=0.2, contact_timeout=0.5)

    assert answers["grace"].meaning in {Meaning.UNCLEAR, Meaning.UNREACHABLE, Meaning.TIME_LIMIT}
    assert answers["grace"].text


def test_random_bytes_are_survived_too() -> None:
    async def noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(BANNER)
        while await reader.read(4096):
            writer.write(secrets.token_bytes(secrets.randbelow(300)))

    async def scenario() -> set[Meaning]:
        domains = {f"d{number}.test": noise for number in range(40)}
        async with world(domains, command_timeout=0.2, contact_timeout=0.5) as scripted:

            async def meaning(domain: str) -> Meaning:
                route = await scripted.network.route(domain)
                async with scripted.network.conversation(route) as conversation:
                    return (await conversation.probe([f"grace@{domain}"]))[f"grace@{domain}"].meaning

            return set(await asyncio.gather(*map(meaning, domains)))

    assert asyncio.run(scenario()) <= {Meaning.UNCLEAR, Meaning.UNREACHABLE, Meaning.TIME_LIMIT, Meaning.BLOCKED}


def test_a_flood_is_not_buffered_while_no_reply_is_read() -> None:
    async def scenario() -> int:
        async with mail_server(floods) as (port, _):
            session = await connect("127.0.0.1", port, 5, 5)
            with pytest.raises(SmtpError):
                await session.greet("client.test")
            await asyncio.sleep(0.1)  # as a conversation does between two rounds
            kept = len(session._replies._parser.replies)  # noqa: SLF001 - the bound is the point
            session.quit()
            await session.closed
            return kept

    assert asyncio.run(scenario()) <= MAX_UNREAD + READ_AT_ONCE // len(b"250 ok\r\n")
