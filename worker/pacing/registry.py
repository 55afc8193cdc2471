"""The limits of all processes in Redis. Only the scripts beside this module change them.

All keys have the hash tag `{pacing}`, so that a script finds them on one node. During a rolling upgrade processes of
two versions share the keys: when the format of keys or members changes, `PREFIX` must change too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from pipeline.mail.pacing import aimd
from pipeline.mail.pacing.slots import PacingLimits, Place

LEASE = 5.0
"""Seconds after which a connection that was not renewed counts as closed: its process was killed or frozen."""
PREFIX = "growth:{pacing}:"
TURNS = f"{PREFIX}turns:"
"""The prefix of a process's channel, which announces whose turn it is."""
PROCESSES = f"{PREFIX}processes"

_HERE = Path(__file__).parent
_CONSTANTS = f"""\
local HALVING = {aimd.HALVING!r}
local SMALLEST_SHARE = {aimd.SMALLEST_SHARE!r}
local RECOVERY = {aimd.RECOVERY!r}
local AGAIN_AFTER = {aimd.AGAIN_AFTER!r}
local LEASE = {LEASE!r}
local TURNS = '{TURNS}'
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request for a slot. With a ticket, it is queued already."""

    id: str
    place: Place
    ticket: str = ""


@dataclass(frozen=True, slots=True)
class Granted:
    """A slot was acquired, at this time on Redis's clock."""

    acquired_at: float
    others: bool


@dataclass(frozen=True, slots=True)
class Queued:
    """No slot yet: `seconds` is when the pace allows one, or 0 if that is unknown."""

    ticket: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A slot that is released, or a request that is cancelled."""

    id: str
    place: Place
    recipients: int


class Registry:
    """Each method is one round trip and raises `redis.RedisError`."""

    def __init__(self, redis: Redis, limits: PacingLimits) -> None:
        self._limits = limit_arguments(limits)
        self._acquire = redis.register_script(script("acquire"))
        self._release = redis.register_script(script("release"))
        self._renew = redis.register_script(script("renew"))
        self._slow_down = redis.register_script(script("slow_down"))

    async def acquire(self, wanted: Sequence[Wanted]) -> Sequence[Granted | Queued]:
        """Acquire slots, or queue for them; one answer for each request."""
        keys = [key for each in wanted for key in keys_of(each.place)]
        arguments = [text for each in wanted for text in (each.id, each.ticket)]
        replies = await self._acquire(keys, [*self._limits, *arguments])
        return [read_reply(*replies[n : n + 3]) for n in range(0, len(replies), 3)]

    async def release(self, ended: Sequence[Ended]) -> None:
        """Release slots and leave queues."""
        keys = [key for each in ended for key in keys_of(each.place)]
        arguments = [text for each in ended for text in (each.id, each.recipients)]
        await self._release(keys, [*self._limits, *arguments])

    async def renew(self, process: str, held: Mapping[str, Place]) -> int:
        """Renew the leases of a process and of its connections. Returns the number of active processes."""
        keys = [key for place in held.values() for key in keys_of(place)]
        return int(await self._renew([PROCESSES, *keys], [process, *held]))

    async def slow_down(self, place: Place, acquired_at: float) -> bool:
        """Halve the limits of a place. Returns whether other connections were open or had the same complaint."""
        return bool(await self._slow_down(keys_of(place), [*self._limits, repr(acquired_at)]))


def script(name: str, clock: str = "") -> str:
    """The source of a script. `clock` replaces the server's clock."""
    parts = (clock or _text("clock"), _text("limits"), _text(name))
    return _CONSTANTS + "\n".join(parts)


def keys_of(place: Place) -> tuple[str, str]:
    """The prefixes of the keys of a place's two limits."""
    return f"{PREFIX}host:{place.ip}", f"{PREFIX}provider:{place.provider}"


def limit_arguments(limits: PacingLimits) -> Sequence[str]:
    """The four arguments about limits, which come first in every script."""
    return (
        repr(limits.connections_per_host),
        repr(float(limits.recipients_per_second)),
        repr(limits.connections_per_provider),
        repr(float(limits.recipients_per_second_per_provider)),
    )


def read_reply(granted: str, first: str, second: str) -> Granted | Queued:
    """Parse the reply of `acquire` to one request."""
    if granted == "1":
        return Granted(acquired_at=float(first), others=second == "1")
    return Queued(ticket=first, seconds=float(second))


def _text(name: str) -> str:
    return (_HERE / f"{name}.lua").read_text()
