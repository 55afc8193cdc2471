"""Messages that come more often than they need."""

from tests.faults.scene import Blow, Scene, blow_of
from worker.broker import QUEUE
from worker.dispatch import AFTER_ALL_OTHERS, IN_TURN


def waiting_lists() -> list[str]:
    """Where messages wait in Redis: as kombu names the list of a priority."""
    return [QUEUE, *(f"{QUEUE}\x06\x16{priority}" for priority in (IN_TURN, AFTER_ALL_OTHERS))]


def send_chain_three_times(scene: Scene) -> Blow:
    """The run's chain sent three times more while it is worked."""
    sender = scene.engine.python("tests.faults.machine.chain_sender", str(scene.run_id), "3")
    sender.check_returncode()
    return blow_of(scene, send_chain_three_times)


def deliver_twice(scene: Scene) -> Blow:
    """Every message that waits or is in hand delivered once more, as after a visibility timeout."""
    with scene.engine.valkey_client() as client:
        waiting = [message for queue in waiting_lists() for message in client.lrange(queue, 0, -1)]
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
