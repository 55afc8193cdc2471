"""The replies of one connection: fed as bytes arrive, and awaited one by one, each within a time limit."""

import asyncio
import math

from pipeline.mail.smtp.errors import MalformedReplyError, ReplyTimeoutError, SmtpError
from pipeline.mail.smtp.reply import Reply
from pipeline.mail.smtp.reply_parser import ReplyParser

MAX_UNREAD = 1000
"""Replies that may be unread; a server that sends more is not answering our commands."""

MAX_BYTES = 1 << 20
"""Bytes that may arrive until the next reply is read: an endless line must not keep us reading."""


class ReplyQueue:
    """The queue of one connection, awaited by one task at a time.

    `owes` means that a reply was awaited in vain and may still arrive. `failure` is the first error that ended the
    connection. `until` is the time on the event loop's clock at which all waiting ends.
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
        """Parse bytes that have arrived. Raises MalformedReplyError, and notes it as the failure."""
        self._unread_bytes += len(data)
        try:
            self._parser.feed(data)
            if len(self._parser.replies) > MAX_UNREAD:
                raise MalformedReplyError("The server sends replies without commands.")
            if self._unread_bytes > MAX_BYTES:
                raise MalformedReplyError("The server sends more than a reply may have.")
        except MalformedReplyError as error:
            self.fail(error)
            raise
        finally:
            self._wake()

    def fail(self, error: SmtpError) -> SmtpError:
        """Note the error that ended the connection, and wake the task that waits for a reply. Returns the first one."""
        self.failure = self.failure or error
        self._wake()
        return self.failure

    def close(self) -> None:
        """Cancel the timer; nothing is awaited any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def forget(self) -> None:
        """Discard everything that has arrived."""
        self._parser = ReplyParser()

    @property
    def is_empty(self) -> bool:
        """Whether everything that arrived was read."""
        return self._parser.is_empty

    @property
    def unread(self) -> Reply | None:
        """A reply that has arrived and was not awaited yet."""
        return self._parser.replies[0] if self._parser.replies else None

    async def next(self, about: str) -> Reply:
        """Wait for the next reply and return it; `about` names its command in errors.

        The time limit runs from now until the reply is complete. Raises SmtpError, and TimeoutError at `until`.
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
                # If a server never pauses, the timer always finds the future done.
                raise self._late()
            self._watch(loop)
            self._arrival = loop.create_future()
            await self._arrival

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use one timer for all waits: setting one for each reply would take longer than reading the reply."""
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
