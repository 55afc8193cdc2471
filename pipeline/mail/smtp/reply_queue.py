"""The replies of one connection: fed as bytes arrive, awaited one by one, each within a time."""

import asyncio
import math

from pipeline.mail.smtp.errors import MalformedReplyError, ReplyTimeoutError, SmtpError
from pipeline.mail.smtp.reply import Reply
from pipeline.mail.smtp.reply_parser import ReplyParser

MAX_UNREAD = 1000
"""Replies that may wait to be read; a server that sends more is not answering anybody."""

MAX_BYTES = 1 << 20
"""Bytes that may come until the next reply is read: a line without end must not keep us reading."""


class ReplyQueue:
    """Awaited by one task at a time. `owes` tells that a reply was awaited in vain: it may still come.

    `failure` is what ended the connection, if anything did: the first cause counts. `until` is when all waiting ends
    (on the event loop's clock), for whatever reply it is.
    """

    def __init__(self, seconds: float) -> None:
        self.failure: SmtpError | None = None
        self.until = math.inf
        self.owes = False
        self._seconds = seconds
        self._parser = ReplyParser()
        self._unread_bytes = 0
        self._arrival: asyncio.Future[None] | None = None
        self._about = ""
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def feed(self, data: bytes) -> None:
        """Take in what arrived. Raises MalformedReplyError, which is noted as the failure, too."""
        self._unread_bytes += len(data)
        try:
            self._parser.feed(data)
            if len(self._parser.replies) > MAX_UNREAD:
                raise MalformedReplyError("The server sends replies that nobody asked for.")
            if self._unread_bytes > MAX_BYTES:
                raise MalformedReplyError("The server sends more than anybody would read.")
        except MalformedReplyError as error:
            self.fail(error)
            raise
        finally:
            self._wake()

    def fail(self, error: SmtpError) -> SmtpError:
        """Note what ended the connection, and tell whoever waits for a reply."""
        self.failure = self.failure or error
        self._wake()
        return self.failure

    def close(self) -> None:
        """Nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def forget(self) -> None:
        """Begin anew, with nothing heard."""
        self._parser = ReplyParser()

    @property
    def is_empty(self) -> bool:
        """Whether everything that came was read."""
        return self._parser.is_empty

    @property
    def unread(self) -> Reply | None:
        """The reply that came and was not awaited yet."""
        return self._parser.replies[0] if self._parser.replies else None

    async def next(self, about: str) -> Reply:
        """Give the next reply, once it is there; `about` says in an error what it would have answered.

        Its time runs from now, however busily its bytes drip. Raises SmtpError, and TimeoutError at `until`.
        """
        if not self._parser.replies:
            self.owes = True
            await self._arrive(about)
            self.owes = False
        self._unread_bytes = 0
        return self._parser.replies.popleft()

    async def _arrive(self, about: str) -> None:
        loop = asyncio.get_running_loop()
        self._about, self._deadline = about, min(loop.time() + self._seconds, self.until)
        while not self._parser.replies:
            if self.failure is not None:
                raise self.failure
            if loop.time() >= self._deadline:
                # A server that never pauses has the timer find us just woken, each time.
                raise self._late()
            self._watch(loop)
            self._arrival = loop.create_future()
            await self._arrival

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have one timer for all waits: setting it anew for each reply would cost more than reading it."""
        if self._timer is not None and self._timer.when() > self._deadline:
            self.close()
        self._timer = self._timer or loop.call_at(self._deadline, self._look_at_clock)

    def _look_at_clock(self) -> None:
        loop, self._timer = asyncio.get_running_loop(), None
        if self._arrival is None or self._arrival.done():
            return
        if loop.time() < self._deadline:
            self._watch(loop)
        else:
            self._arrival.set_exception(self._late())

    def _late(self) -> Exception:
        if self._deadline == self.until:
            return TimeoutError()
        return ReplyTimeoutError(f"No reply to {self._about} within {self._seconds:g} s.")

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
