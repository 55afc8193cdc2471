"""Transcripts of SMTP sessions, for people to read.

Bulk work keeps none. To get one, set `TRANSCRIPT` before probing: it is a context variable, so that each task may have
its own, and no layer in between has to pass it on.
"""

import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from pipeline.mail.smtp.errors import MalformedReplyError
from pipeline.mail.smtp.reply import Reply
from pipeline.mail.smtp.reply_parser import ReplyParser


@dataclass(slots=True)
class Exchange:
    """A command and its reply; the command is "" for the greeting, and the reply None if there was none.

    `seconds` is the time from sending the command (or from connecting) to the complete reply.
    """

    command: str
    sent_at: float
    reply: Reply | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class SessionTranscript:
    """One connection: its address, how long it took to open or why it failed, and its exchanges.

    `noise` says how the server violated the protocol, if it did.
    """

    ip: str
    seconds: float = 0.0
    failure: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    noise: str = ""


class Wiretap:
    """Records one connection: reads the bytes of both directions, and pairs commands with their replies."""

    def __init__(self, session: SessionTranscript, clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        self._started = clock()
        self._parser = ReplyParser()
        self._unanswered: deque[Exchange] = deque()

    def connected(self) -> None:
        self._session.seconds = self._clock() - self._started
        self._begin("")

    def failed(self, why: str) -> None:
        self._session.seconds = self._clock() - self._started
        self._session.failure = why

    def sent(self, data: bytes) -> None:
        for line in data.decode(errors="replace").splitlines():
            self._begin(line)

    def received(self, data: bytes) -> None:
        try:
            self._parser.feed(data)
        except MalformedReplyError as error:
            self._session.noise = str(error)
        while self._parser.replies and self._unanswered:
            exchange = self._unanswered.popleft()
            exchange.reply = self._parser.replies.popleft()
            exchange.seconds = self._clock() - exchange.sent_at

    def _begin(self, command: str) -> None:
        exchange = Exchange(command, self._clock())
        self._session.exchanges.append(exchange)
        self._unanswered.append(exchange)


class Transcript:
    """The sessions of one conversation, in order."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.sessions: list[SessionTranscript] = []
        self._clock = clock

    def listen(self, ip: str) -> Wiretap:
        """Begin to record a connection that is about to be opened."""
        session = SessionTranscript(ip)
        self.sessions.append(session)
        return Wiretap(session, self._clock)


TRANSCRIPT: ContextVar[Transcript | None] = ContextVar("transcript", default=None)
"""The transcript of the sessions that this task opens; None if there is none."""


def wiretap_for(ip: str) -> Wiretap | None:
    """Return the wiretap for a connection that this task is about to open; None without a transcript."""
    transcript = TRANSCRIPT.get()
    return transcript.listen(ip) if transcript else None
