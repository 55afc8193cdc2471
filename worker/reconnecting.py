"""A worker's main process that looks for its broker each second while it is away."""

from functools import partial

import celery.worker.consumer
from kombu import Connection

RECONNECT_S = 1


class Consumer(celery.worker.consumer.Consumer):
    """Celery's, but for its pauses between attempts: 2, 4, 6 ... up to 30 s, and no setting changes them.

    After an outage of 20 s nobody would take a message for ten seconds more, after one of five minutes for up to 30.
    """

    def ensure_connected(self, conn: Connection) -> Connection:
        """Connect, however long that takes."""
        conn.ensure_connection = partial(  # type: ignore[method-assign]
            conn.ensure_connection, interval_start=RECONNECT_S, interval_step=0, interval_max=RECONNECT_S
        )
        return super().ensure_connected(conn)
