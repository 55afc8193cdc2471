"""The limits of all processes as they stand in Redis, and the scripts that are the only ones to change them.

All keys have the hash tag `{pacing}`, so that a script finds them on one node.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from pipeline.mail.pacing import aimd
from pipeline.mail.pacing.slots import PacingLimits, Place

LEASE = 5.0
"""Seconds after which a connection that was not renewed is taken for closed: its process was killed, or stopped."""
PREFIX = "growth:{pacing}:"
TURNS = f"{PREFIX}turns:"
"""Before a process's name: the channel on which it is told whose turn it is."""
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
    """A request for a slot; with a ticket, it is in the line already."""

    id: str
    place: Place
    ticket: str = ""


@dataclass(frozen=True, slots=True)
class Granted:
    """A slot was had, at this time on Redis's clock."""

    taken_at: float
    others: bool


@dataclass(frozen=True, slots=True)
class InLine:
    """No slot yet; `seconds` says when the pace allows one, 0 that nobody knows."""

    ticket: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """A slot that is not used any more, or is not wanted any more."""

    id: str
    place: Place
    recipients: int


class Registry:
    """Each method is one round trip, and raises `redis.RedisError`."""

    def __init__(self, redis: Redis, limits: PacingLimits) -> None:
        self._limits = limit_arguments(limits)
        self._take = redis.register_script(script("take"))
        self._give_back = redis.register_script(script("give_back"))
        self._renew = redis.register_script(script("renew"))
        self._slow_down = redis.register_script(script("slow_down"))

    async def take(self, wanted: Sequence[Wanted]) -> Sequence[Granted | InLine]:
        """Take slots, or places in the lines for them; one answer each."""
        keys = [key for each in wanted for key in keys_of(each.place)]
        arguments = [text for each in wanted for text in (each.id, each.ticket)]
        said = await self._take(keys, [*self._limits, *arguments])
        return [read_reply(*said[n : n + 3]) for n in range(0, len(said), 3)]

    async def give_back(self, ended: Sequence[Ended]) -> None:
        """Give slots back, and leave lines."""
        keys = [key for each in ended for key in keys_of(each.place)]
        arguments = [text for each in ended for text in (each.id, each.recipients)]
        await self._give_back(keys, [*self._limits, *arguments])

    async def renew(self, process: str, held: Mapping[str, Place]) -> int:
        """Renew the leases of a process's connections, and its own. Gives the number of processes at work."""
        keys = [key for place in held.values() for key in keys_of(place)]
        return int(await self._renew([PROCESSES, *keys], [process, *held]))

    async def slow_down(self, place: Place, taken_at: float) -> bool:
        """Halve; says whether others of ours were open, or told the same."""
        return bool(await self._slow_down(keys_of(place), [*self._limits, repr(taken_at)]))


def script(name: str, clock: str = "") -> str:
    """The text of a script. `clock` replaces the server's."""
    parts = (clock or _text("clock"), _text("limits"), _text(name))
    return _CONSTANTS + "\n".join(parts)


def keys_of(place: Place) -> tuple[str, str]:
    """What the keys of a place's two limits begin with."""
    return f"{PREFIX}host:{place.ip}", f"{PREFIX}provider:{place.provider}"


def limit_arguments(limits: PacingLimits) -> Sequence[str]:
    """The four arguments about limits that scripts begin with."""
    return (
        repr(limits.connections_per_host),
        repr(float(limits.recipients_per_second)),
        repr(limits.connections_per_provider),
        repr(float(limits.recipients_per_second_per_provider)),
    )


def read_reply(granted: str, first: str, second: str) -> Granted | InLine:
    """Read what `take` says about one request."""
    if granted == "1":
        return Granted(taken_at=float(first), others=second == "1")
    return InLine(ticket=first, seconds=float(second))


def _text(name: str) -> str:
    return (_HERE / f"{name}.lua").read_text()
