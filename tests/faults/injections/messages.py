"""Messages sent more often than they need be, on any broker."""

from tests.faults.scene import Blow, Scene, blow_of


def send_chain_three_times(scene: Scene) -> Blow:
    """The run's chain sent three times more while it is worked."""
    sender = scene.engine.python("tests.faults.chain_sender", str(scene.run_id), "3")
    sender.check_returncode()
    return blow_of(scene, send_chain_three_times)
