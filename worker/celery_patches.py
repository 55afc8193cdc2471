"""What Celery gets wrong, and no setting changes.

The pauses between attempts to reconnect grow to 30 seconds; acknowledging a message whose channel is gone ends the
worker; after a lost connection Celery forgets which of its tasks still run (`Consumer`); and events of tasks that run
in threads get lost (`EventDispatcher`).
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import celery.app.events
import celery.events.dispatcher
import celery.worker.consumer
from celery.worker import state
from kombu import Connection, Message
from kombu.transport import virtual
from kombu.transport.virtual import base as transport

from settings import load_settings
from worker.broker import why_not_sent

RECONNECT_S = 1

log = logging.getLogger(__name__)


class Consumer(celery.worker.consumer.Consumer):
    """Celery's consumer with three corrections.

    It looks for its broker each second. Celery pauses 2, 4, 6 ... up to 30 s: after an outage of 20 s nobody would
    receive a message for ten seconds more, after one of five minutes for up to 30.

    It drops acknowledgements whose channel is closed. kombu's Redis channel raises an `AttributeError` for them, which
    ends the worker.

    It remembers which tasks run after a connection is lost. Celery forgets it: a worker without a free thread would
    take messages, which then wait for as long as a task takes, while other workers are idle.
    """

    def on_ready(self) -> None:
        """Start to receive messages; over Redis only while a thread is free."""
        super().on_ready()
        channel: Any = self.task_consumer.channel  # type: ignore[attr-defined]
        if isinstance(channel, virtual.Channel):
            has_credit = channel.qos.can_consume
            channel.qos.can_consume = lambda: has_credit() and self._has_free_thread()  # type: ignore[method-assign]

    def _has_free_thread(self) -> bool:
        return len({*state.active_requests, *state.reserved_requests}) < int(self.pool.num_processes)

    def on_connection_error_before_connected(self, exc: BaseException) -> None:
        """Log why the broker can't be used and what to do."""
        log.error("the broker is %s", why_not_sent(exc, load_settings()))

    def ensure_connected(self, conn: Connection) -> Connection:
        """Connect, however long it takes."""
        conn.ensure_connection = partial(  # type: ignore[method-assign]
            conn.ensure_connection, interval_start=RECONNECT_S, interval_step=0, interval_max=RECONNECT_S
        )
        return super().ensure_connected(conn)

    def call_soon(self, p: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Schedule a call on the event loop, such as the acknowledgement of a message."""
        return super().call_soon(partial(_unless_channel_is_closed, p), *args, **kwargs)


def expect_messages_while_stopping() -> None:
    """Log no warning for each message that arrives while the worker stops: it goes back into the queue."""
    transport.logger.addFilter(_is_unexpected)


def _is_unexpected(record: logging.LogRecord) -> bool:
    return record.msg != transport.W_NO_CONSUMERS


def _unless_channel_is_closed(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    message = getattr(call, "__self__", None)
    if isinstance(message, Message) and _is_closed(message.channel):
        log.warning("message %s can't be acknowledged any more: it will be delivered again", message.delivery_tag)
        return None
    return call(*args, **kwargs)


def _is_closed(channel: Any) -> bool:
    """Whether a Redis channel has neither connections nor the address to open new ones."""
    if not isinstance(channel, virtual.Channel) or getattr(channel, "_pool", None) is not None:
        return False
    return getattr(channel.connection, "client", None) is None


class EventDispatcher(celery.events.dispatcher.EventDispatcher):
    """Sends the events of tasks that end while others are sent.

    Celery appends events in the threads of tasks, and empties the whole list once it has sent what was in it: events
    that came meanwhile were lost, and Flower showed finished tasks as started for ever.
    """

    def flush(self, errors: bool = True, groups: bool = True) -> None:  # noqa: FBT001, FBT002 - Celery's signature
        """Send what has been buffered."""
        super().flush(errors, groups=False)
        if groups:
            with self.mutex:  # type: ignore[attr-defined]
                for group, buffered in self._group_buffer.items():  # type: ignore[attr-defined]
                    sent = list(buffered)
                    self._publish(sent, self.producer, f"{group}.multi")  # type: ignore[attr-defined]
                    del buffered[: len(sent)]


class Events(celery.app.events.Events):
    """Celery's events with our dispatcher."""

    dispatcher_cls = "worker.celery_patches:EventDispatcher"
