"""The SMTP client: asks one mail host which recipients it takes, and never sends a message.

RFC 5321 for the dialogue, RFC 2920 for sending commands without waiting, RFC 6531 for addresses that are not
ASCII. Written for this one purpose: EHLO, MAIL, RCPT and RCPT again, RSET, QUIT; there is no DATA in it.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import cast

from pipeline.mail.reply import Reply
from pipeline.mail.reply_parser import ReplyParser
from pipeline.mail.smtp_errors import (
    ConnectError,
    ConnectionLostError,
    MalformedReplyError,
    ReplyTimeoutError,
    SessionRefusedError,
    SmtpError,
)
from pipeline.mail.transcript import Wiretap, wiretap_for

QUIT_LINGER = 2.0
"""Seconds that a server has to close the connection after QUIT, before we cut it."""
MAX_UNREAD = 1000
"""Replies that may wait to be read; a server that sends more is not answering anybody."""


async def connect(ip: str, port: int, connect_timeout: float, command_timeout: float) -> "SmtpSession":
    """Open a connection. Raises ConnectError."""
    wiretap = wiretap_for(ip)
    try:
        return await _connect(ip, port, connect_timeout, lambda: SmtpSession(command_timeout, wiretap))
    except ConnectError as error:
        if wiretap is not None:
            wiretap.failed(str(error))
        raise


async def _connect(
    ip: str, port: int, connect_timeout: float, make_session: Callable[[], "SmtpSession"]
) -> "SmtpSession":
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(connect_timeout):
            _, session = await loop.create_connection(make_session, ip, port)
    except TimeoutError as error:
        raise ConnectError(f"No connection within {connect_timeout:g} seconds.") from error
    except OSError as error:
        cause = os.strerror(error.errno) if error.errno else str(error)
        raise ConnectError(f"No connection: {cause}.") from error
    return session


class SmtpSession(asyncio.Protocol):
    """One connection to a mail host, used by one task at a time.

    `recipients` counts what was asked in the open transaction, `asked` in the whole session; `closed` is done
    once the connection is gone.
    """

    def __init__(self, command_timeout: float, wiretap: Wiretap | None = None) -> None:
        self._wiretap = wiretap
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.extensions: frozenset[str] = frozenset()
        self.asked = 0
        self.recipients = 0
        self._mail = ""
        self._reset_first = False
        self._owed = False
        self._linger: asyncio.TimerHandle | None = None
        self._command_timeout = command_timeout
        self._parser = ReplyParser()
        self._failure: SmtpError | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        if self._wiretap is not None:
            self._wiretap.connected()

    def data_received(self, data: bytes) -> None:
        """Queue whole replies; what comes after QUIT is of no interest."""
        if self._wiretap is not None:
            self._wiretap.received(data)
        if self._linger is not None:
            return
        try:
            self._parser.feed(data)
            if len(self._parser.replies) > MAX_UNREAD:
                raise MalformedReplyError("The server sends replies that nobody asked for.")
        except MalformedReplyError as error:
            self._fail(error)
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for a reply, or for the end."""
        cause = "The connection broke" if exc else "The server closed the connection"
        self._fail(ConnectionLostError(f"{cause} before a reply came."))
        self._wake()
        if self._linger is not None:
            self._linger.cancel()
        self.closed.set_result(None)

    # What a conversation calls

    async def greet(self, name: str) -> None:
        """Wait for the banner and introduce ourselves as `name`. Raises SmtpError."""
        banner = await self._reply("its greeting")
        if banner.code != 220:
            raise SessionRefusedError(banner)
        hello = await self._command(f"EHLO {name}")
        if hello.code in (500, 502):
            hello = await self._command(f"HELO {name}")
        elif hello.code == 250:
            self.extensions = frozenset(line.split(" ")[0].upper() for line in hello.lines[1:])
        if hello.code != 250:
            raise SessionRefusedError(hello)

    async def ask(self, mail_from: str, recipients: Sequence[str], heard: list[Reply]) -> None:
        """Ask about each recipient, appending to `heard` one reply each, in their order.

        When the session breaks, `heard` keeps what was said until then. Raises SmtpError.
        """
        setup = self._transaction(mail_from, recipients)
        commands = setup + [f"RCPT TO:<{recipient}>" for recipient in recipients]
        pipelined = "PIPELINING" in self.extensions
        if pipelined:
            self._send(commands)
        for command in commands:
            if not pipelined:
                self._send([command])
            reply = await self._reply(command.split(":")[0])
            is_recipient = command.startswith("RCPT")
            if reply.code == 421 or not (is_recipient or reply.code == 250):
                raise SessionRefusedError(reply)
            if is_recipient:
                self.asked += 1
                self.recipients += 1
                heard.append(reply)
        self._trust(heard)

    def takes(self, recipient: str) -> bool:
        """Say whether the address may be named in this session at all (RFC 6531 3.2)."""
        return recipient.isascii() or "SMTPUTF8" in self.extensions

    def end_transaction(self) -> None:
        """Have the next question begin with RSET and a new transaction."""
        self._reset_first = self.recipients > 0 or self._reset_first
        self.recipients = 0

    def quit(self) -> None:
        """Say QUIT and let the server close, within QUIT_LINGER; nobody needs to wait for it.

        A server that owes a reply gets no time for it: we close ourselves.
        """
        if self._linger is not None or self._transport.is_closing():
            return
        self._write(b"QUIT\r\n")
        if self._owed or self._failure is not None:
            self._transport.close()
        self._linger = asyncio.get_running_loop().call_later(QUIT_LINGER, self._transport.abort)

    # Inside

    def _transaction(self, mail_from: str, recipients: Sequence[str]) -> list[str]:
        """Give the commands that must come before RCPT: none while a fitting transaction is open."""
        ascii_only = all(recipient.isascii() for recipient in recipients)
        mail = f"MAIL FROM:<{mail_from}>" + ("" if ascii_only else " SMTPUTF8")
        if self.recipients and (ascii_only or self._mail == mail):
            return []
        self.end_transaction()
        setup = ["RSET", mail] if self._reset_first else [mail]
        self._mail, self._reset_first = mail, False
        return setup

    async def _command(self, line: str) -> Reply:
        self._send([line])
        return await self._reply(line.split(" ")[0])

    def _send(self, lines: Sequence[str]) -> None:
        if self._parser.replies:
            raise self._out_of_turn()
        data = "\r\n".join(lines)
        if len(data.splitlines()) != len(lines) or "\0" in data:
            raise ValueError("A command may not hold a line break or NUL.")
        self._write(data.encode() + b"\r\n")

    def _write(self, data: bytes) -> None:
        if self._wiretap is not None:
            self._wiretap.sent(data)
        self._transport.write(data)

    async def _reply(self, about: str) -> Reply:
        """Wait for the next reply; its time runs from now, however busily its bytes drip."""
        self._owed = True
        deadline = asyncio.get_running_loop().time() + self._command_timeout
        while not self._parser.replies:
            if self._failure is not None:
                raise self._failure
            try:
                async with asyncio.timeout_at(deadline):
                    self._arrival = asyncio.get_running_loop().create_future()
                    await self._arrival
            except TimeoutError as error:
                raise ReplyTimeoutError(f"No reply to {about} within {self._command_timeout:g} s.") from error
        self._owed = False
        return self._parser.replies.popleft()

    def _trust(self, heard: list[Reply]) -> None:
        """Refuse a batch that got more replies than questions: nobody knows which belongs to which."""
        unread = self._parser.replies
        if unread and unread[0].code != 421:
            heard.clear()
            raise self._out_of_turn()

    def _out_of_turn(self) -> SmtpError:
        reply = self._parser.replies[0]
        if reply.code == 421:
            return self._fail(SessionRefusedError(reply))
        return self._fail(MalformedReplyError("The server replied to something that was not asked."))

    def _fail(self, error: SmtpError) -> SmtpError:
        """Note what ended the session; the first cause counts."""
        self._failure = self._failure or error
        return self._failure

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
