"""Messages that are delivered more than once."""

from tests.faults.scene import Injection, Scene, injection_of
from worker.broker import QUEUE
from worker.dispatch import AFTER_ALL_OTHERS, IN_TURN


def waiting_lists() -> list[str]:
    """The lists of waiting messages in Redis. kombu has one for each priority."""
    return [QUEUE, *(f"{QUEUE}\x06\x16{priority}" for priority in (IN_TURN, AFTER_ALL_OTHERS))]


def send_chain_three_times(scene: Scene) -> Injection:
    """The run's chain sent three times more while it is worked."""
    sender = scene.engine.python("tests.faults.machine.chain_sender", str(scene.run_id), "3")
    sender.check_returncode()
    return injection_of(scene, send_chain_three_times)


def deliver_twice(scene: Scene) -> Injection:
    """Every waiting or unacknowledged message delivered once more, as after a visibility timeout."""
    with scene.engine.valkey_client() as client:
        waiting = [message for queue in waiting_lists() for message in client.lrange(queue, 0, -1)]
        # kombu keeps each as JSON of [message, exchange, routing key] under its delivery tag.
        unacknowledged = client.eval(
            "local copies = {} for i, stored in ipairs(redis.call('HVALS', KEYS[1])) do "
            "copies[i] = cjson.encode(cjson.decode(stored)[1]) end return copies",
            1,
            "unacked",
        )
        copies = [*waiting, *unacknowledged]
        if copies:
            client.lpush(QUEUE, *copies)
    return injection_of(scene, deliver_twice)
