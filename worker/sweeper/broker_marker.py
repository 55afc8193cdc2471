"""The broker marker: an entry in the broker's own data. When it is gone, all queues and messages are gone too.

Without it the sweeper would notice run by run, after the pauses between sends, which grow to five minutes.
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
"""Never has messages."""
READ_TIMEOUT_S = 5
REDIS_TIMEOUT_S = 1.0


class BrokerMarker(Protocol):
    """Shows whether a broker lost its data. Both methods raise `DispatchFailed` when the broker is unavailable."""

    def is_gone(self) -> bool:
        """Whether the broker lost its data. Also true when a broker is used for the first time."""
        ...

    def put(self) -> None:
        """Set the marker, once everything that was lost is sent again."""
        ...


class RedisBrokerMarker:
    """A key in the database of the queues."""

    def __init__(self, server: redis.Redis) -> None:
        self._server = server

    def is_gone(self) -> bool:
        with _redis_may_be_away():
            return not self._server.exists(KEY)

    def put(self) -> None:
        with _redis_may_be_away():
            self._server.set(KEY, "1")


class RabbitmqBrokerMarker:
    """An empty queue of the same type as the work queue: whatever deletes one deletes the other."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def is_gone(self) -> bool:
        with self._channel() as channel:
            try:
                channel.queue_declare(QUEUE, passive=True)
            except NotFound:
                return True
            return False

    def put(self) -> None:
        with self._channel() as channel:
            channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=QUORUM)

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        try:
            with self._connection.channel() as channel:
                yield channel
        except self._connection.recoverable_connection_errors as error:
            # The next sweep opens a new connection.
            self._connection.collect()
            raise _failed(error) from error


def open_broker_marker(settings: Settings) -> BrokerMarker:
    """The marker of the broker in the settings. Connects to nothing yet."""
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
