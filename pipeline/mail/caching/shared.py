"""Answers about mail domains that the processes share, so that each is looked up once for all of them.

Sharing is optional: without a shared memory, or while it cannot be reached, each process looks answers up itself.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from pipeline.mail.caching.coalescer import Coalescer

T = TypeVar("T")

log = logging.getLogger(__name__)

KEPT = 60.0
"""Seconds for which a process keeps another's answer at most: it does not know how much of its lifetime is left."""
SHORTEST = 1.0
"""Seconds; answers with a shorter lifetime are not shared."""
AT_ONCE = 500
"""Values in one request: enough for a chunk's domains, and not so many that other requests wait for it."""


class SharedMemory(Protocol):
    """Bytes by key, each with a lifetime. While the memory cannot be reached no key is known; no method raises then."""

    async def get(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the values of the keys that are known."""
        ...

    async def put(self, values: Mapping[str, tuple[bytes, float]]) -> None:
        """Keep values, each for its number of seconds."""
        ...

    async def close(self) -> None:
        """Close the connections; the memory cannot be used afterwards."""
        ...


class CoalescedMemory:
    """Joins the reads and writes of many coroutines into few requests to a shared memory."""

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory
        self._reads: Coalescer[str, bytes | None] = Coalescer(self._read, AT_ONCE)
        self._writes: Coalescer[tuple[str, bytes, float], None] = Coalescer(self._write, AT_ONCE)

    async def get(self, key: str) -> bytes | None:
        return await self._reads.submit(key)

    def put(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value for all processes, without waiting until it has arrived."""
        self._writes.post((key, value, seconds))

    async def flush(self) -> None:
        """Wait for open requests: if the event loop stands still meanwhile, they time out afterwards."""
        await self._reads.flush()
        await self._writes.flush()

    async def close(self) -> None:
        await self.flush()
        await self._memory.close()

    async def _read(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        known = await self._memory.get(list(dict.fromkeys(keys)))
        return [known.get(key) for key in keys]

    async def _write(self, values: Sequence[tuple[str, bytes, float]]) -> Sequence[None]:
        await self._memory.put({key: (value, seconds) for key, value, seconds in values})
        return [None] * len(values)


@dataclass(frozen=True, slots=True)
class CachedValue(Generic[T]):
    """A value from another process, and for how many seconds it may be used without looking again."""

    value: T
    seconds: float


class SharedCache(Generic[T]):
    """Values of one dataclass, kept as JSON under a prefix of their own.

    A value that cannot be parsed, for example one that another version wrote, counts as unknown.
    """

    def __init__(self, memory: CoalescedMemory, name: str, kind: type[T]) -> None:
        self._memory = memory
        self._name = name
        self._json: TypeAdapter[tuple[float, T]] = TypeAdapter(tuple[float, kind])  # type: ignore[valid-type]

    async def get(self, key: str) -> CachedValue[T] | None:
        text = await self._memory.get(f"{self._name}:{key}")
        if text is None:
            return None
        try:
            seconds, value = self._json.validate_json(text)
        except ValidationError as problem:
            log.warning("a shared answer (%s) cannot be parsed: %s errors", self._name, problem.error_count())
            return None
        return CachedValue(value, min(seconds, KEPT))

    def put(self, key: str, value: T, seconds: float) -> None:
        if seconds >= SHORTEST:
            self._memory.put(f"{self._name}:{key}", self._json.dump_json((seconds, value)), seconds)
