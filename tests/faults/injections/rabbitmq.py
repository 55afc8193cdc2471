"""RabbitMQ is killed, unavailable, frozen or emptied. Only where it is the broker."""

import time

from tests.faults.scene import Fault, Injection, Scene, injection_of
from tests.rabbitmq import RabbitMQ
from worker.broker import QUEUE
from worker.sweeper.broker_marker import QUEUE as BROKER_MARKER

FROZEN_SECONDS = 3


def restart_rabbitmq(scene: Scene) -> Injection:
    """`kill -9` of RabbitMQ, started again at once on its disk. Unacknowledged messages are delivered twice."""
    return _away(scene, restart_rabbitmq, seconds=0)


def rabbitmq_down(scene: Scene) -> Injection:
    """RabbitMQ killed and unavailable for an outage."""
    return _away(scene, rabbitmq_down, scene.outage_seconds)


def freeze_rabbitmq(scene: Scene) -> Injection:
    """SIGSTOP to RabbitMQ for some seconds: it accepts connections and answers nothing."""
    _broker(scene).freeze()
    injected_at = scene.engine.now()
    time.sleep(FROZEN_SECONDS)
    _broker(scene).thaw()
    return injection_of(scene, freeze_rabbitmq, injected_at=injected_at)


def lose_queues(scene: Scene) -> Injection:
    """All queues and messages are gone, unacknowledged ones too, as on a node that lost its disk."""
    _broker(scene).delete_queues(QUEUE, BROKER_MARKER)
    return injection_of(scene, lose_queues)


def lose_messages(scene: Scene) -> Injection:
    """The work queue alone is deleted. The broker marker does not show it."""
    _broker(scene).delete_queues(QUEUE)
    return injection_of(scene, lose_messages)


def _broker(scene: Scene) -> RabbitMQ:
    assert scene.engine.rabbitmq
    return scene.engine.rabbitmq


def _away(scene: Scene, fault: Fault, seconds: float) -> Injection:
    _broker(scene).kill()
    injected_at = scene.engine.now()
    time.sleep(seconds)
    _broker(scene).start()
    return injection_of(scene, fault, injected_at=injected_at)
