"""The broker marker: a mark in the broker's own data. When it is gone, so are the queues and all messages in them.

Postgres would tell as well, run by run, but only after the pauses between sends, which grow up to five minutes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import redis
from amqp.exceptions import NotFound
from kombu import Connection

from models.redis_server import open_redis
from settings import Settings, load_settings
from worker.app import QUORUM, app
from worker.broker import is_rabbitmq, why_not_sent
from worker.dispatch import DispatchFailed

KEY = "growth:broker_marker"
QUEUE = "growth.broker_marker"
"""Nothing is ever sent to it."""
READ_TIMEOUT_S = 5
REDIS_TIMEOUT_S = 1.0


class BrokerMarker(Protocol):
    """What tells that a broker lost its data. Both raise `DispatchFailed` when the broker is away."""

    def is_gone(self) -> bool:
        """Whether it must be put back, once what was lost is sent again. The very first time it is gone, too."""
        ...

    def put(self) -> None:
        """Put it there."""
        ...


class RedisBrokerMarker:
    """A key beside the queues."""

    def __init__(self, server: redis.Redis) -> None:
        self._server = server

    def is_gone(self) -> bool:
        """Whether the key is missing, as after FLUSHALL."""
        with _redis_may_be_away():
            return not self._server.exists(KEY)

    def put(self) -> None:
        """Set the key."""
        with _redis_may_be_away():
            self._server.set(KEY, "1")


class RabbitmqBrokerMarker:
    """An empty queue beside the work's, of the same type: it shares its fate."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def is_gone(self) -> bool:
        """Whether the queue is missing, as on a node or in a vhost that was made anew."""
        with self._channel() as channel:
            try:
                channel.queue_declare(QUEUE, passive=True)
            except NotFound:
                return True
            return False

    def put(self) -> None:
        """Declare the queue."""
        with self._channel() as channel:
            channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=QUORUM)

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        try:
            with self._connection.channel() as channel:
                yield channel
        except self._connection.recoverable_connection_errors as error:
            # What is left of it is of no use: the next sweep connects anew.
            self._connection.collect()
            raise _failed(error) from error


def open_broker_marker(settings: Settings) -> BrokerMarker:
    """The broker marker of the broker in the settings; nothing is contacted yet."""
    if is_rabbitmq(settings.celery_broker_url):
        return RabbitmqBrokerMarker(app.connection_for_write(transport_options={"read_timeout": READ_TIMEOUT_S}))
    return RedisBrokerMarker(open_redis(settings.celery_broker_url, REDIS_TIMEOUT_S))


@contextmanager
def _redis_may_be_away() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise _failed(error) from error


def _failed(error: BaseException) -> DispatchFailed:
    return DispatchFailed(f"the broker is {why_not_sent(error, load_settings())}")
