"""The disk that takes the export files: it can't be written, or has no room, for an outage."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.faults.engine import wait_until
from tests.faults.scene import Blow, Fault, Scene, blow_of

LEAST_SECONDS = 4
NO_ROOM = "64k"
"""Less than one export of a run."""


def break_disk(scene: Scene) -> Blow:
    """No export file can be written: there is no directory."""
    exports = scene.engine.export_dir
    aside = exports.with_name("exports-aside")
    exports.mkdir(exist_ok=True)
    exports.rename(aside)
    exports.touch()
    try:
        return _outage(scene, break_disk)
    finally:
        exports.unlink()
        aside.rename(exports)


def fill_disk(scene: Scene) -> Blow:
    """No export file can be written to its end: ENOSPC. Needs the right to mount."""
    scene.engine.export_dir.mkdir(exist_ok=True)
    with _no_room(scene.engine.export_dir):
        return _outage(scene, fill_disk)


@cache
def can_mount() -> bool:
    """Whether this process may mount file systems."""
    if os.geteuid() != 0:
        return False
    try:
        with tempfile.TemporaryDirectory() as place, _no_room(Path(place)):
            return True
    except subprocess.CalledProcessError:
        return False


@contextmanager
def _no_room(place: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={NO_ROOM}", "tmpfs", place], check=True, capture_output=True)
    try:
        yield
    finally:
        # Lazily: a worker may be in the middle of a file.
        subprocess.run(["umount", "--lazy", place], check=True)


def _outage(scene: Scene, fault: Fault) -> Blow:
    """From now until an outage after the first attempt; who calls this puts the disk right at once."""
    struck_at = scene.engine.now()
    wait_until(lambda: _compile_was_tried(scene), "the first attempt to compile", seconds=60)
    time.sleep(max(scene.outage_seconds, LEAST_SECONDS))
    return blow_of(scene, fault, struck_at=struck_at)


def _compile_was_tried(scene: Scene) -> bool:
    return scene.engine.knows_event(scene.run_id, "compile", "chunk_leased")
