"""A bounded cache whose values have a lifetime each."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class TtlCache(Generic[K, V]):
    """Holds at most `size` values, each for its lifetime; the one written first is evicted first."""

    def __init__(self, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._clock = clock
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        expires, value = self._kept.get(key, (0.0, None))
        return value if self._clock() < expires else None

    def put(self, key: K, value: V, seconds: float) -> None:
        """Keep a value for a number of seconds; if that is not positive, only remove the old value."""
        self._kept.pop(key, None)
        if seconds <= 0:
            return
        self._kept[key] = (self._clock() + seconds, value)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def discard(self, key: K) -> None:
        self._kept.pop(key, None)

    def __len__(self) -> int:
        return len(self._kept)
