"""An SMTP client that probes which recipients a mail host accepts, and never sends a message.

It implements RFC 5321 (SMTP), RFC 2920 (pipelining), RFC 6531 (international addresses) and RFC 3207 (STARTTLS) as far
as probing needs them: EHLO, STARTTLS, MAIL, RCPT, RSET and QUIT. There is no DATA.
"""

import asyncio
import math
import ssl
from collections.abc import Sequence
from typing import cast

from pipeline.mail.smtp.errors import (
    ConnectionLostError,
    MalformedReplyError,
    ReplyTimeoutError,
    SessionRefusedError,
    SmtpError,
    TlsError,
)
from pipeline.mail.smtp.reply import Reply
from pipeline.mail.smtp.reply_match import names_another
from pipeline.mail.smtp.reply_queue import ReplyQueue
from pipeline.mail.smtp.transcript import Wiretap

QUIT_LINGER = 2.0
"""Seconds that a server has to close the connection after QUIT, before we abort it."""
HELO_MAY_DO = frozenset({500, 501, 502, 504})
"""Replies to EHLO after which an older server may still take HELO (RFC 5321 3.2, 4.2.4)."""


class SmtpSession(asyncio.Protocol):
    """One connection to a mail host, used by one task at a time.

    `recipients` counts the recipients in the open transaction, `asked` those in the whole session and `refused` those
    that were refused; `transactions` counts MAIL commands. `closed` is done once the connection is closed. With
    `one_by_one` the session waits for each reply even if the server offers pipelining. Unless it is `reusable`, no
    other conversation gets it. After `has_said_quit` nothing more can be sent.
    """

    def __init__(self, command_timeout: float, wiretap: Wiretap | None = None) -> None:
        self._wiretap = wiretap
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.extensions: frozenset[str] = frozenset()
        self.one_by_one = False
        self.asked = 0
        self.refused = 0
        self.transactions = 0
        self.reusable = True
        self.recipients = 0
        self._mail = ""
        self._reset_first = False
        self._quit_last = False
        self.has_said_quit = False
        self._linger: asyncio.TimerHandle | None = None
        self._command_timeout = command_timeout
        self._replies = ReplyQueue(command_timeout)
        self._transport: asyncio.Transport

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._wiretap is not None:
            self._wiretap.connected()

    def data_received(self, data: bytes) -> None:
        """Queue whole replies; what comes after QUIT is ignored."""
        if self._wiretap is not None:
            self._wiretap.received(data)
        if self._linger is not None:
            return
        try:
            self._replies.feed(data)
        except MalformedReplyError:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        cause = "The connection broke" if exc else "The server closed the connection"
        self._replies.fail(ConnectionLostError(f"{cause} before a reply came."))
        self._replies.close()
        if self._linger is not None:
            self._linger.cancel()
        if not self.closed.done():
            self.closed.set_result(None)

    # Called by conversations

    async def greet(self, name: str, tls: ssl.SSLContext | None = None, *, until: float = math.inf) -> None:
        """Wait for the banner and send EHLO with `name`; with `tls`, use STARTTLS if the server offers it.

        Raises SmtpError, and TimeoutError at `until` (on the event loop's clock).
        """
        self._replies.until = until
        banner = await self._replies.next("its greeting")
        if banner.code != 220:
            raise SessionRefusedError(banner)
        await self._hello(name)
        if tls is not None and "STARTTLS" in self.extensions:
            await self._start_tls(tls, name, until)

    async def probe(
        self, mail_from: str, recipients: Sequence[str], replies: list[Reply], *, until: float = math.inf
    ) -> None:
        """Send RCPT for each recipient, and append one reply for each to `replies`, in their order.

        If the session breaks, `replies` holds those that arrived before. Raises SmtpError, and TimeoutError at `until`
        (on the event loop's clock).
        """
        self._replies.until = until
        commands = self._transaction(mail_from, recipients)
        commands += [f"RCPT TO:<{recipient}>" for recipient in recipients]
        if self.pipelines:
            self.has_said_quit = self._quit_last
            self._send([*commands, "QUIT"] if self._quit_last else commands)
        try:
            for command in commands:
                if not self.pipelines:
                    self._send([command])
                await self._receive(command, replies)
        except ReplyTimeoutError:
            if self.pipelines:
                # It is slow, or it lost a command: which one, and so whose the later replies are, cannot be known.
                replies.clear()
            raise
        self._check_order(recipients, replies)

    @property
    def pipelines(self) -> bool:
        """Whether commands are sent together (RFC 2920)."""
        return "PIPELINING" in self.extensions and not self.one_by_one

    @property
    def is_at_rest(self) -> bool:
        """Whether another conversation may go on in it: no reply is due, nothing has ended, no transcript is kept."""
        queue = self._replies
        is_open = self._linger is None and not self._quit_last and not self._transport.is_closing()
        return is_open and queue.failure is None and queue.is_empty and not queue.owes and self._wiretap is None

    def takes(self, recipient: str) -> bool:
        """Say whether the address may be named in this session at all (RFC 6531 3.2)."""
        return recipient.isascii() or "SMTPUTF8" in self.extensions

    def end_transaction(self) -> None:
        """Have the next probe begin with RSET and a new transaction."""
        self._reset_first = self.recipients > 0 or self._reset_first
        self.recipients = 0

    def end_with_quit(self) -> None:
        """Have the next probes be the last: with pipelining, QUIT is sent together with them (RFC 2920 3.1)."""
        self._quit_last = True

    def quit(self) -> None:
        """Send QUIT and let the server close the connection within QUIT_LINGER, without waiting for it.

        If the server still owes a reply, close the connection at once.
        """
        if self._linger is not None or self._transport.is_closing():
            return
        if not self.has_said_quit:
            self._write(b"QUIT\r\n")
        if self._replies.owes or self._replies.failure is not None:
            self._transport.close()
        self._linger = asyncio.get_running_loop().call_later(QUIT_LINGER, self._transport.abort)

    # Internal

    async def _receive(self, command: str, replies: list[Reply]) -> None:
        reply = await self._replies.next(command.partition(":")[0])
        is_recipient = command.startswith("RCPT")
        if reply.code == 421 or not (is_recipient or reply.code == 250):
            raise SessionRefusedError(reply)
        if is_recipient and self.has_said_quit and reply.code == 221:
            replies.clear()
            raise self._replies.fail(MalformedReplyError("The server said goodbye before it had answered all probes."))
        if is_recipient:
            self.asked += 1
            self.recipients += 1
            self.refused += reply.code >= 400
            replies.append(reply)

    async def _hello(self, name: str) -> None:
        hello = await self._command(f"EHLO {name}")
        if hello.code in HELO_MAY_DO:
            hello = await self._command(f"HELO {name}")
            self.extensions = frozenset()
        elif hello.code == 250:
            self.extensions = frozenset(line.split(" ")[0].upper() for line in hello.lines[1:])
        if hello.code != 250:
            raise SessionRefusedError(hello)

    async def _start_tls(self, tls: ssl.SSLContext, name: str, until: float) -> None:
        """Start TLS, discard what came before, and send EHLO again (RFC 3207 4.2).

        If the server declines (454), the session stays unencrypted.
        """
        ready = await self._command("STARTTLS")
        if ready.code == 421:
            raise SessionRefusedError(ready)
        if ready.code != 220:
            return
        if not self._replies.is_empty:
            # An attacker may have injected these bytes, to be read as the server's after the handshake.
            raise self._replies.fail(MalformedReplyError("The server said more before the TLS handshake."))
        async with asyncio.timeout_at(until):
            await self._shake_hands(tls)
        try:
            await self._hello(name)
        except (ConnectionLostError, MalformedReplyError) as error:
            # In TLS 1.3 a server's refusal arrives only after our side of the handshake is done.
            raise TlsError("The session ended right after the TLS handshake.") from error

    async def _shake_hands(self, tls: ssl.SSLContext) -> None:
        if self._replies.failure is not None:
            raise self._replies.failure
        self._replies.forget()
        self.extensions = frozenset()
        try:
            encrypted = await asyncio.get_running_loop().start_tls(
                self._transport,
                self,
                tls,
                ssl_handshake_timeout=self._command_timeout,
                ssl_shutdown_timeout=QUIT_LINGER,
            )
        except BaseException as error:
            # asyncio calls connection_lost only after a handshake that succeeded.
            self._transport.abort()
            self.connection_lost(None)
            if isinstance(error, OSError):
                raise TlsError("The TLS handshake failed.") from error
            raise
        self._transport = cast("asyncio.Transport", encrypted)

    def _transaction(self, mail_from: str, recipients: Sequence[str]) -> list[str]:
        """Return the commands that must come before RCPT; none if a suitable transaction is open."""
        ascii_only = all(recipient.isascii() for recipient in recipients)
        mail = f"MAIL FROM:<{mail_from}>" + ("" if ascii_only else " SMTPUTF8")
        if self.recipients and (ascii_only or self._mail == mail):
            return []
        self.end_transaction()
        setup = ["RSET", mail] if self._reset_first else [mail]
        self._mail, self._reset_first = mail, False
        self.transactions += 1
        return setup

    async def _command(self, line: str) -> Reply:
        self._send([line])
        return await self._replies.next(line.split(" ")[0])

    def _send(self, lines: Sequence[str]) -> None:
        if self._replies.unread is not None:
            raise self._out_of_turn(self._replies.unread)
        data = "\r\n".join(lines)
        if len(data.splitlines()) != len(lines) or "\0" in data:
            raise ValueError("A command may not hold a line break or NUL.")
        self._write(data.encode() + b"\r\n")

    def _write(self, data: bytes) -> None:
        if self._wiretap is not None:
            self._wiretap.sent(data)
        self._transport.write(data)

    def _check_order(self, recipients: Sequence[str], replies: list[Reply]) -> None:
        """Reject replies that cannot be assigned: there is one too many, or one names another recipient."""
        unread = self._replies.unread
        if unread is not None and unread.code not in ((221, 421) if self.has_said_quit else (421,)):
            replies.clear()
            raise self._out_of_turn(unread)
        if self.pipelines and names_another(recipients, replies):
            replies.clear()
            raise self._replies.fail(
                MalformedReplyError("The server's replies come in another order than the commands.")
            )

    def _out_of_turn(self, reply: Reply) -> SmtpError:
        if reply.code == 421:
            return self._replies.fail(SessionRefusedError(reply))
        return self._replies.fail(MalformedReplyError("The server sent a reply without a command."))
