"""Messages that come more often than they need."""

from tests.faults.scene import Blow, Scene, blow_of
from worker.broker import QUEUE
from worker.dispatch import AFTER_ALL_OTHERS

OF_HELPERS = f"{QUEUE}\x06\x16{AFTER_ALL_OTHERS}"
"""As kombu names the list of a priority."""


def send_chain_three_times(scene: Scene) -> Blow:
    """The run's chain sent three times more while it is worked."""
    sender = scene.engine.python("tests.faults.chain_sender", str(scene.run_id), "3")
    sender.check_returncode()
    return blow_of(scene, send_chain_three_times)


def deliver_twice(scene: Scene) -> Blow:
    """Every message that waits or is in hand delivered once more, as after a visibility timeout."""
    with scene.engine.valkey_client() as client:
        waiting = [message for queue in (QUEUE, OF_HELPERS) for message in client.lrange(queue, 0, -1)]
        # kombu keeps each as JSON of [message, exchange, routing key] under its delivery tag.
        in_hand = client.eval(
            "local copies = {} for i, kept in ipairs(redis.call('HVALS', KEYS[1])) do "
            "copies[i] = cjson.encode(cjson.decode(kept)[1]) end return copies",
            1,
            "unacked",
        )
        copies = [*waiting, *in_hand]
        if copies:
            client.lpush(QUEUE, *copies)
    return blow_of(scene, deliver_twice)
