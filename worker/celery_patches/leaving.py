"""How long a pool process stays at its end for its main process to read that its last task is done."""

import billiard.pool

HEARD_WITHIN_S = 2


def leave_soon() -> None:
    """Stay for two seconds, not for billiard's thirty: no setting changes them.

    A main process that lost its broker while a task was in hand may never count that task's end, and a worker that got
    SIGTERM would hold up a deployment for half a minute. What goes unheard is a message not acknowledged: it comes
    again, and finds nothing left to do.
    """
    looks = HEARD_WITHIN_S / billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_INTERVAL
    billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = round(looks)
