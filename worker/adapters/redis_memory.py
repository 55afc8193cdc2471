"""The memory that worker processes share about mail domains, in Redis (`pipeline.mail.caching.shared`)."""

import logging
import time
from collections.abc import Mapping, Sequence

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from models.redis_server import open_async_redis

PREFIX = "growth:mail:1:"
"""Its number grows when the version before can't read the values."""
TIMEOUT_S = 0.5
LEFT_ALONE_S = 5.0
"""After a failure Redis is not asked for so many seconds: meanwhile each process finds out for itself."""

log = logging.getLogger(__name__)


class RedisMemory:
    """Shared memory in Redis or Valkey. While the server is unavailable nothing is known, and nothing waits for it.

    Used from one event loop only.
    """

    def __init__(self, url: str) -> None:
        self._redis = open_async_redis(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            # A connection that the server closed while it was idle is replaced by a new one.
            retry=Retry(NoBackoff(), 1),
        )
        self._back_at = 0.0

    async def get(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """The values that are known, in one request."""
        if self._is_left_alone:
            return {}
        try:
            values = await self._redis.mget([PREFIX + key for key in keys])
        except RedisError as error:
            self._leave_alone(error)
            return {}
        return {key: value for key, value in zip(keys, values, strict=True) if isinstance(value, bytes)}

    async def put(self, values: Mapping[str, tuple[bytes, float]]) -> None:
        """Keep values, in one request."""
        if self._is_left_alone:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for key, (value, seconds) in values.items():
            pipeline.set(PREFIX + key, value, px=int(seconds * 1000))
        try:
            await pipeline.execute()
        except RedisError as error:
            self._leave_alone(error)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    @property
    def _is_left_alone(self) -> bool:
        return time.monotonic() < self._back_at

    def _leave_alone(self, error: RedisError) -> None:
        log.warning("Redis is unavailable (%s): facts about mail domains are not shared for now", type(error).__name__)
        self._back_at = time.monotonic() + LEFT_ALONE_S
