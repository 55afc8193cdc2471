"""RabbitMQ killed, away, frozen, emptied: only where it is the broker."""

import time

from tests.faults.scene import Blow, Fault, Scene, blow_of
from tests.rabbitmq import RabbitMQ
from worker.broker import QUEUE
from worker.sweeper.broker_marker import QUEUE as BROKER_MARKER

FROZEN_SECONDS = 3


def restart_rabbitmq(scene: Scene) -> Blow:
    """`kill -9` of RabbitMQ, started again at once on what its disk holds; what was in hand is delivered twice."""
    return _away(scene, restart_rabbitmq, seconds=0)


def rabbitmq_down(scene: Scene) -> Blow:
    """RabbitMQ killed and away for an outage."""
    return _away(scene, rabbitmq_down, scene.outage_seconds)


def freeze_rabbitmq(scene: Scene) -> Blow:
    """SIGSTOP to RabbitMQ for some seconds: connections are taken and nothing is answered."""
    _broker(scene).freeze()
    struck_at = scene.engine.now()
    time.sleep(FROZEN_SECONDS)
    _broker(scene).thaw()
    return blow_of(scene, freeze_rabbitmq, struck_at=struck_at)


def lose_queues(scene: Scene) -> Blow:
    """All queues gone, and all messages: waiting ones and those in hand, as on a node that lost its disk."""
    _broker(scene).delete_queues(QUEUE, BROKER_MARKER)
    return blow_of(scene, lose_queues)


def lose_messages(scene: Scene) -> Blow:
    """The work's queue deleted, and nothing else: there is no broker marker to tell."""
    _broker(scene).delete_queues(QUEUE)
    return blow_of(scene, lose_messages)


def _broker(scene: Scene) -> RabbitMQ:
    assert scene.engine.rabbitmq
    return scene.engine.rabbitmq


def _away(scene: Scene, fault: Fault, seconds: float) -> Blow:
    _broker(scene).kill()
    struck_at = scene.engine.now()
    time.sleep(seconds)
    _broker(scene).start()
    return blow_of(scene, fault, struck_at=struck_at)
