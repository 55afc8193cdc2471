"""Our Celery application whose main process lets go of the channel by which a task came, as after a broken connection.

Started as `celery -A tests.integration.broker.letting_go_app worker`. Not to be imported by tests: it changes Celery.
"""

from typing import Any

from celery.signals import task_received

from tests.integration.broker.broker_probe import app

__all__ = ["app"]


@task_received.connect
def _let_go(request: Any, **_: Any) -> None:
    """What was seen in a worker whose Valkey was restarted and whose connections were reset a second later."""
    channel = request.message.channel
    channel._disconnect_pools()  # noqa: SLF001 - what is public does not break halfway
    channel.connection.client = None
