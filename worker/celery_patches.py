"""What Celery and billiard get wrong, and no setting changes.

Reconnecting: the pauses between attempts grow to 30 seconds; acknowledging a message whose channel is gone ends the
worker; and a lost connection makes Celery forget which pool processes are busy. `Consumer` corrects these.

Ending: a pool process waits 30 seconds for its main process to read that its last task is done. `leave_soon` makes
it two.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import billiard.pool
import celery.worker.consumer
from kombu import Connection, Message
from kombu.transport import virtual

from settings import load_settings
from worker.broker import why_not_sent

RECONNECT_S = 1
READ_WITHIN_S = 2
"""How long a pool process waits at its end for its main process to read its last result."""

log = logging.getLogger(__name__)


class Consumer(celery.worker.consumer.Consumer):
    """Celery's consumer with three corrections.

    It looks for its broker each second. Celery pauses 2, 4, 6 ... up to 30 s: after an outage of 20 s nobody would
    receive a message for ten seconds more, after one of five minutes for up to 30.

    It drops acknowledgements whose channel is closed. kombu's Redis channel raises an `AttributeError` for them, which
    ends the worker.

    It remembers which pool processes are busy after a connection is lost. Celery forgets it: the next message was
    written into the pipe of a busy process, or waited in a worker without a free process for as long as a chunk takes,
    while other workers were idle.
    """

    def on_close(self) -> None:
        """Drop the messages that were received and not begun, and keep the busy processes marked as busy."""
        pool: Any = getattr(self.pool, "_pool", None)
        inqueues: Mapping[int, Any] = getattr(pool, "_fileno_to_inq", {})
        busy = {number: inqueues.get(number) for number in getattr(pool, "_busy_workers", ())}
        super().on_close()
        if busy:
            # A process that has ended is gone from the mapping; a new one may have its file number.
            still_busy = {number for number, process in busy.items() if inqueues.get(number) is process}
            pool._busy_workers.update(still_busy)  # noqa: SLF001 - Celery has no public name for it

    def on_ready(self) -> None:
        """Start to receive messages; over Redis only while a pool process is free."""
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


def leave_soon() -> None:
    """Let a pool process wait two seconds for its last result to be read, not billiard's thirty.

    A main process that lost its broker while a task was running may never read that task's result: a worker that got
    SIGTERM would then hold up a deployment for half a minute. An unread result is a message that is not acknowledged;
    it is delivered again and finds nothing left to do.
    """
    checks = READ_WITHIN_S / billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_INTERVAL
    billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = round(checks)
