"""The disk of the export files is not writable, or full, for an outage."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.faults.engine import wait_until
from tests.faults.scene import Fault, Injection, Scene, injection_of

LEAST_SECONDS = 4
SMALL_DISK = "64k"
"""Smaller than one export of a run."""


def break_disk(scene: Scene) -> Injection:
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


def fill_disk(scene: Scene) -> Injection:
    """No export file can be written completely: ENOSPC. Needs the right to mount."""
    scene.engine.export_dir.mkdir(exist_ok=True)
    with _small_disk(scene.engine.export_dir):
        return _outage(scene, fill_disk)


@cache
def can_mount() -> bool:
    """Whether this process may mount file systems."""
    if os.geteuid() != 0:
        return False
    try:
        with tempfile.TemporaryDirectory() as place, _small_disk(Path(place)):
            return True
    except subprocess.CalledProcessError:
        return False


@contextmanager
def _small_disk(place: Path) -> Iterator[None]:
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", place], check=True, capture_output=True
    )
    try:
        yield
    finally:
        # Lazily: a worker may have a file open.
        subprocess.run(["umount", "--lazy", place], check=True)


def _outage(scene: Scene, fault: Fault) -> Injection:
    """Wait until an outage after the first attempt. The caller then repairs the disk at once."""
    injected_at = scene.engine.now()
    wait_until(lambda: _compile_was_tried(scene), "the first attempt to compile", seconds=60)
    time.sleep(max(scene.outage_seconds, LEAST_SECONDS))
    return injection_of(scene, fault, injected_at=injected_at)


def _compile_was_tried(scene: Scene) -> bool:
    return scene.engine.has_event(scene.run_id, "compile", "chunk_leased")
