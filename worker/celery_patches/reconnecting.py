"""A worker's main process that looks for its broker each second while it is away, and survives what it lost."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import celery.worker.consumer
from kombu import Connection, Message
from kombu.transport import virtual

from settings import load_settings
from worker.broker import why_not_sent

RECONNECT_S = 1

log = logging.getLogger(__name__)


class Consumer(celery.worker.consumer.Consumer):
    """Celery's, but for three things that no setting changes.

    Its pauses between attempts: 2, 4, 6 ... up to 30 s. After an outage of 20 s nobody would take a message for ten
    seconds more, after one of five minutes for up to 30.

    Acknowledgements that come after their channel was let go: kombu's channel of Redis raises an `AttributeError`
    then, which ends the worker.

    And which pool processes are busy: Celery forgets it when a connection is lost. The next message was written into
    the pipe of a busy process, or waited in a worker that had no process free, for as long as a chunk takes, while
    others had nothing to do.
    """

    def on_close(self) -> None:
        """Drop what was received and not begun; a process that is at work stays known as busy."""
        pool: Any = getattr(self.pool, "_pool", None)
        inqueues: Mapping[int, Any] = getattr(pool, "_fileno_to_inq", {})
        busy = {number: inqueues.get(number) for number in getattr(pool, "_busy_workers", ())}
        super().on_close()
        if busy:
            # A process that ended meanwhile is gone from there; another may have its number now.
            still = {number for number, process in busy.items() if inqueues.get(number) is process}
            pool._busy_workers.update(still)  # noqa: SLF001 - Celery has no name for it

    def on_ready(self) -> None:
        """From now on messages are received: over Redis, only while a process is free to work them."""
        super().on_ready()
        channel: Any = self.task_consumer.channel  # type: ignore[attr-defined]
        if isinstance(channel, virtual.Channel):
            has_credit = channel.qos.can_consume
            channel.qos.can_consume = lambda: has_credit() and self._has_free_process()  # type: ignore[method-assign]

    def _has_free_process(self) -> bool:
        pool: Any = getattr(self.pool, "_pool", None)
        if not hasattr(pool, "_busy_workers"):
            return True
        at_work = len(pool._busy_workers) + len(pool.outbound_buffer)  # noqa: SLF001
        return at_work < int(self.pool.num_processes)

    def on_connection_error_before_connected(self, exc: BaseException) -> None:
        """Log why the broker can't be used, and what to do."""
        log.error("the broker is %s", why_not_sent(exc, load_settings()))

    def ensure_connected(self, conn: Connection) -> Connection:
        """Connect, however long that takes."""
        conn.ensure_connection = partial(  # type: ignore[method-assign]
            conn.ensure_connection, interval_start=RECONNECT_S, interval_step=0, interval_max=RECONNECT_S
        )
        return super().ensure_connected(conn)

    def call_soon(self, p: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Have a step done by the event loop; acknowledging a message is one."""
        return super().call_soon(partial(_unless_let_go, p), *args, **kwargs)


def _unless_let_go(step: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    message = getattr(step, "__self__", None)
    if isinstance(message, Message) and _is_let_go(message.channel):
        log.warning("message %s can't be acknowledged any more: it comes again", message.delivery_tag)
        return None
    return step(*args, **kwargs)


def _is_let_go(channel: Any) -> bool:
    """Whether a channel over Redis has neither connections nor the address to make new ones."""
    if not isinstance(channel, virtual.Channel) or getattr(channel, "_pool", None) is not None:
        return False
    return getattr(channel.connection, "client", None) is None
