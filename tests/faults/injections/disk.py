"""The disk that takes the export files."""

import time

from tests.faults.engine import wait_until
from tests.faults.scene import Blow, Scene, blow_of

FULL_SECONDS = 4


def fill_disk(scene: Scene) -> Blow:
    """No export file can be written from now until some seconds after the first attempt."""
    exports = scene.engine.export_dir
    aside = exports.with_name("exports-aside")
    exports.mkdir(exist_ok=True)
    exports.rename(aside)
    exports.touch()
    struck_at = scene.engine.now()
    wait_until(lambda: _compile_was_tried(scene), "the first attempt to compile", seconds=60)
    time.sleep(FULL_SECONDS)
    exports.unlink()
    aside.rename(exports)
    return blow_of(scene, fill_disk, struck_at=struck_at)


def _compile_was_tried(scene: Scene) -> bool:
    return any(chunk.stage == "compile" for chunk in scene.engine.chunks_in_hand(scene.run_id))
