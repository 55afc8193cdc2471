"""Politeness towards mail hosts, as the connector sees it: whose turn it is to open a connection.

Two limits hold for each connection: that of the mail host (its IP address) and that of the provider, all of whose
hosts count as one. `process_pacing` keeps them within one process; where several share the world, they share one
book (`worker.pacing`).
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol, Self

from publicsuffixlist import PublicSuffixList

from pipeline.mail.address.providers import provider_of
from pipeline.mail.config import MailNetworkConfig
from pipeline.mail.replies.classify import classify, words_of
from pipeline.mail.replies.meaning import Meaning
from pipeline.mail.smtp.reply import Reply

_OF_ONE_SESSION = re.compile(
    r"too many (?:\w+ ){0,3}(?:errors?|commands?|recipients?|failures?|messages?)\b|per (?:connection|session)"
)


class Place(NamedTuple):
    """Where a connection goes: a mail host's IP address, and the provider that runs it."""

    ip: str
    provider: str


@dataclass(slots=True, eq=False)
class Slot:
    """The right to one connection. It was had at `acquired_at`, on the clock of whoever gave it.

    `others` tells that more of our connections were there at that time.
    """

    place: Place
    acquired_at: float
    others: bool


class Pacing(Protocol):
    """Gives out connection slots, first come, first served, and slows down where a server asks for it."""

    async def acquire(self, place: Place) -> Slot:
        """Wait for a slot; `release` must follow. Whoever is cancelled leaves the line."""
        ...

    def release(self, slot: Slot, recipients: int) -> None:
        """End a slot whose connection is closed; `recipients` were asked about in it, and count towards the pace."""
        ...

    async def slow_down(self, slot: Slot) -> bool:
        """A server said in this slot that we are too many or too fast.

        Say whether our own other connections were the cause, so that it may be tried again in a later slot.
        """
        ...

    async def flush(self) -> None:
        """Give back for everybody what was given back, and leave nothing in flight: the event loop may stand still."""
        ...

    async def close(self) -> None:
        """Leave; no slot is taken any more."""
        ...


@dataclass(frozen=True, slots=True)
class PacingLimits:
    """The limits where nobody has asked us to slow down.

    `recipients_per_second` is a host's; a provider gets as many times more as it gets connections.
    """

    connections_per_host: int
    connections_per_provider: int
    recipients_per_second: float

    @classmethod
    def of(cls, config: MailNetworkConfig) -> Self:
        """The limits that a configuration tells."""
        return cls(config.connections_per_host, config.connections_per_provider, config.recipients_per_second)

    @property
    def recipients_per_second_per_provider(self) -> float:
        """The pace of all hosts of a provider."""
        return self.recipients_per_second * max(1.0, self.connections_per_provider / self.connections_per_host)

    def divided_by(self, processes: int) -> "PacingLimits":
        """One process's share, at least one connection."""
        return PacingLimits(
            max(1, self.connections_per_host // processes),
            max(1, self.connections_per_provider // processes),
            self.recipients_per_second / processes,
        )


def place_of(mail_host: str, ip: str) -> Place:
    """Return the place of a mail host: its provider is a known one, or else the host's registrable domain."""
    name = mail_host.lower().rstrip(".")
    return Place(ip, provider_of(name) or _public_suffixes().privatesuffix(name) or name or ip)


@cache
def _public_suffixes() -> PublicSuffixList:
    """Read the list on first use: it takes some 50 ms."""
    return PublicSuffixList()


def asks_to_slow_down(reply: Reply) -> bool:
    """Say whether a reply complains about how many or how fast we are, at once or over time.

    That a single session has gone on for too long is answered by a new session, not by fewer. A 421 whose words are
    not understood says that the server is busy (RFC 5321 4.2.2: service not available).
    """
    meaning = classify(reply)
    if meaning is Meaning.RATE_LIMITED:
        return _OF_ONE_SESSION.search(words_of(reply)) is None
    return reply.code == 421 and meaning is Meaning.UNCLEAR
