"""What processes tell each other about the world of mail, so that each need not ask it again.

It is a convenience: with nothing behind it, or while it is away, each process asks for itself.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

log = logging.getLogger(__name__)

KEPT = 60.0
"""Seconds, at most, that a process takes another's word before it looks again: the word may be near its end."""
SHORTEST = 1.0
"""Seconds below which an answer is not worth telling."""
AT_ONCE = 500
"""Values in one request: a chunk's domains fit, and no request grows so large that others wait for it."""


class SharedMemory(Protocol):
    """Bytes by key, each for so many seconds. What can't be reached is not known; no method raises for it."""

    async def get(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Give the values that are known."""
        ...

    async def put(self, values: Mapping[str, tuple[bytes, float]]) -> None:
        """Keep values for their number of seconds."""
        ...

    async def close(self) -> None:
        """Close what is open; the memory is not used any more."""
        ...


class Coalescer:
    """Joins what many coroutines want of a shared memory at the same time into few requests."""

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory
        self._wanted: list[tuple[str, asyncio.Future[bytes | None]]] = []
        self._told: dict[str, tuple[bytes, float]] = {}
        self._requests: set[asyncio.Task[None]] = set()
        self._telling: asyncio.Task[None] | None = None

    async def get(self, key: str) -> bytes | None:
        """Give a value; whoever asks before the event loop's next round is asked with us."""
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self._wanted.append((key, future))
        if len(self._wanted) == 1:
            self._begin(self._read())
        return await future

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """Tell a value, without waiting for it to arrive."""
        self._told[key] = (value, seconds)
        if self._telling is None or self._telling.done():
            self._telling = self._begin(self._tell())

    async def flush(self) -> None:
        """Wait until everything is told: what is in flight while the event loop stands still times out afterwards."""
        await asyncio.gather(*self._requests, return_exceptions=True)

    async def close(self) -> None:
        """Wait until everything is told, and close the memory."""
        await self.flush()
        await self._memory.close()

    def _begin(self, request: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(request)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        return task

    async def _read(self) -> None:
        await asyncio.sleep(0)
        wanted, self._wanted = self._wanted, []
        known: dict[str, bytes] = {}
        keys = list(dict.fromkeys(key for key, _ in wanted))
        try:
            for start in range(0, len(keys), AT_ONCE):
                known |= await self._memory.get(keys[start : start + AT_ONCE])
        finally:
            for key, future in wanted:
                if not future.done():
                    future.set_result(known.get(key))

    async def _tell(self) -> None:
        while self._told:
            told, self._told = self._told, {}
            await self._memory.put(told)


@dataclass(frozen=True, slots=True)
class CachedValue(Generic[T]):
    """A value that another process found, and for how many seconds it may be taken as it is."""

    value: T
    seconds: float


class SharedCache(Generic[T]):
    """Values of one kind, dataclasses of plain fields, under keys of their own, as JSON.

    What can't be read, for example after another version wrote it, is not known.
    """

    def __init__(self, coalescer: Coalescer, name: str, kind: type[T]) -> None:
        self._coalescer = coalescer
        self._name = name
        self._json: TypeAdapter[tuple[float, T]] = TypeAdapter(tuple[float, kind])  # type: ignore[valid-type]

    async def get(self, key: str) -> CachedValue[T] | None:
        """Give what another process told, if anything."""
        text = await self._coalescer.get(f"{self._name}:{key}")
        if text is None:
            return None
        try:
            seconds, value = self._json.validate_json(text)
        except ValidationError as problem:
            log.warning("what another process told (%s) can't be read: %s errors", self._name, problem.error_count())
            return None
        return CachedValue(value, min(seconds, KEPT))

    def put(self, key: str, value: T, seconds: float) -> None:
        """Tell the other processes."""
        if seconds >= SHORTEST:
            self._coalescer.put(f"{self._name}:{key}", self._json.dump_json((seconds, value)), seconds)
