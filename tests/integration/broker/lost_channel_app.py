"""Our Celery application whose main process loses the channel of a received task, as after a broken connection.

Started as `celery -A tests.integration.broker.lost_channel_app worker`. Not to be imported by tests: it changes Celery.
"""

from typing import Any

from celery.signals import task_received

from tests.integration.broker.broker_probe import app

__all__ = ["app"]


@task_received.connect
def _lose_channel(request: Any, **_: Any) -> None:
    """The state of a worker whose Valkey was restarted and whose connections were reset a second later."""
    channel = request.message.channel
    channel._disconnect_pools()  # noqa: SLF001 - public methods close everything
    channel.connection.client = None
