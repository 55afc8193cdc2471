"""The interface of pacing: slots for connections to mail hosts.

Two limits hold for each connection: that of the mail host (its IP address), and that of the provider with all of its
hosts. `in_process` keeps them within one process, `worker.pacing` for all processes together.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

from pipeline.mail.address.providers import provider_of
from pipeline.mail.address.registrable import registrable_domain
from pipeline.mail.config import MailNetworkConfig
from pipeline.mail.replies.classify import classify, words_of
from pipeline.mail.replies.meaning import Meaning
from pipeline.mail.smtp.reply import Reply

_OF_ONE_SESSION = re.compile(
    r"too many (?:\w+ ){0,3}(?:errors?|commands?|recipients?|failures?|messages?)\b|per (?:connection|session)"
)


class Place(NamedTuple):
    """The destination of a connection: a mail host's IP address, and the provider that runs it."""

    ip: str
    provider: str


@dataclass(slots=True, eq=False)
class Slot:
    """The right to one connection, acquired at `acquired_at` on the clock of the pacing.

    `others` means that more of our connections were open at that time.
    """

    place: Place
    acquired_at: float
    others: bool


class Pacing(Protocol):
    """Grants connection slots, first come, first served, and slows down if a server asks for it."""

    async def acquire(self, place: Place) -> Slot:
        """Wait for a slot; `release` must follow. A caller that is cancelled leaves the queue."""
        ...

    def release(self, slot: Slot, recipients: int) -> None:
        """Release the slot of a closed connection; the number of recipients probed in it counts towards the rate."""
        ...

    async def slow_down(self, slot: Slot) -> bool:
        """Reduce the limits, since a server complained in this slot about too many connections or probes.

        Return whether our own other connections were the cause; it may then be tried again in a later slot.
        """
        ...

    async def flush(self) -> None:
        """Wait until all releases have reached the other processes; call it before the event loop stands still."""
        ...

    async def close(self) -> None:
        """Close the pacing; no slot can be acquired afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class PacingLimits:
    """The configured limits, which hold until a server complains.

    `recipients_per_second` is for a host; for a provider it is larger by the same factor as the connections.
    """

    connections_per_host: int
    connections_per_provider: int
    recipients_per_second: float

    @classmethod
    def of(cls, config: MailNetworkConfig) -> Self:
        return cls(config.connections_per_host, config.connections_per_provider, config.recipients_per_second)

    @property
    def recipients_per_second_per_provider(self) -> float:
        return self.recipients_per_second * max(1.0, self.connections_per_provider / self.connections_per_host)

    def divided_by(self, processes: int) -> "PacingLimits":
        """Return one process's share, at least one connection."""
        return PacingLimits(
            max(1, self.connections_per_host // processes),
            max(1, self.connections_per_provider // processes),
            self.recipients_per_second / processes,
        )


def place_of(mail_host: str, ip: str) -> Place:
    """Return the place of a mail host: its provider is a known one, or else the host's registrable domain."""
    name = mail_host.lower().rstrip(".")
    return Place(ip, provider_of(name) or registrable_domain(name) or name or ip)


def asks_to_slow_down(reply: Reply) -> bool:
    """Say whether a reply complains about too many connections or probes, at the same time or over time.

    A complaint about a single session is met by a new session, not by fewer. A 421 whose text is not understood means
    that the server is busy (RFC 5321 4.2.2: service not available).
    """
    meaning = classify(reply)
    if meaning is Meaning.RATE_LIMITED:
        return _OF_ONE_SESSION.search(words_of(reply)) is None
    return reply.code == 421 and meaning is Meaning.UNCLEAR
