"""The event loop of a worker process: whether it runs is known, and a process whose loop is blocked ends."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from worker import event_loop
from worker.event_loop import Heart, start_loop, stop_loop

BLOCKED_FOR_EVER = """
import time
from worker import event_loop
event_loop.STANDS_STILL_AFTER_S, event_loop.CHECK_EACH_S, event_loop.ENDED_AFTER_CHECKS = 0.2, 0.05, 4
loop = event_loop.start_loop()
event_loop.Heart(loop).guard()
loop.call_soon_threadsafe(time.sleep, 600)
time.sleep(600)
"""


@pytest.fixture
def heart(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heart]:
    monkeypatch.setattr(event_loop, "STANDS_STILL_AFTER_S", 0.5)
    loop = start_loop()
    yield Heart(loop)
    stop_loop(loop)


def test_a_loop_stands_still_while_something_blocks_it(heart: Heart) -> None:
    released = threading.Event()
    heart.loop.call_soon_threadsafe(released.wait)
    try:
        deadline = time.monotonic() + 20
        while not heart.stands_still():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        released.set()

    deadline = time.monotonic() + 20
    while heart.stands_still():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_whose_loop_stays_blocked_ends_so_that_its_parent_starts_another() -> None:
    ended = subprocess.run([sys.executable, "-c", BLOCKED_FOR_EVER], capture_output=True, timeout=60, check=False)

    assert ended.returncode == 1
    assert b"the event loop is blocked" in ended.stderr
