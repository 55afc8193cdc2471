"""A bounded memory for answers that are good for a stated time."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class TtlCache(Generic[K, V]):
    """Keeps at most `size` values, each until its time is over; the one written longest ago goes first."""

    def __init__(self, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._clock = clock
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Give the value if it is still good."""
        expires, value = self._kept.get(key, (0.0, None))
        return value if self._clock() < expires else None

    def put(self, key: K, value: V, seconds: float) -> None:
        """Keep a value for so many seconds; none or a negative number means: do not keep it."""
        self._kept.pop(key, None)
        if seconds <= 0:
            return
        self._kept[key] = (self._clock() + seconds, value)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def discard(self, key: K) -> None:
        """Forget a value, if there is one."""
        self._kept.pop(key, None)

    def __len__(self) -> int:
        return len(self._kept)
