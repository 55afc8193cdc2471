"""The event loop of a worker process, which runs in a thread of its own."""

import asyncio
import logging
import os
import sys
import threading
import time

import uvloop

BEATS_EACH_S = 0.05
LATE_S = 0.02
"""A loop that is later than this has as much work as it can do. More conversations would only wait for each other."""
STANDS_STILL_AFTER_S = 2.0
"""A loop that has not run for so long is blocked, by a bug or a hostile input."""
SWITCH_INTERVAL_S = 0.0005
"""How long a busy loop keeps the interpreter from the other threads, a tenth of Python's default.

A task takes the interpreter back after each statement. With five milliseconds for each, a small run beside a busy loop
would spend most of its time waiting for it.
"""
ENDED_AFTER_CHECKS = 30
CHECK_EACH_S = 1.0

log = logging.getLogger(__name__)


def start_loop() -> asyncio.AbstractEventLoop:
    """Run a new event loop in a thread until `stop_loop`."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    loop = uvloop.new_event_loop()
    threading.Thread(target=loop.run_forever, name="growth-loop", daemon=True).start()
    return loop


def stop_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Stop and close a loop, from another thread."""

    async def stop() -> None:
        loop.stop()

    asyncio.run_coroutine_threadsafe(stop(), loop)
    while loop.is_running():
        time.sleep(0.001)
    loop.close()


async def end_tasks() -> None:
    """Cancel all other tasks of the running loop, and wait until they have ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Heart:
    """Tells whether an event loop runs, and whether it keeps up. It beats while the loop runs."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._beat_at = self._due_at = time.monotonic()
        self._late_by = 0.0
        loop.call_soon_threadsafe(self._beat)

    def silent_for(self) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - self._beat_at

    def stands_still(self) -> bool:
        """Whether the loop is blocked."""
        return self.silent_for() > STANDS_STILL_AFTER_S

    def is_late(self) -> bool:
        """Whether the last beat came late, or the next one is."""
        return max(self._late_by, time.monotonic() - self._due_at) > LATE_S

    def _beat(self) -> None:
        self._beat_at = time.monotonic()
        self._late_by = self._beat_at - self._due_at
        self._due_at = self._beat_at + BEATS_EACH_S
        self.loop.call_later(BEATS_EACH_S, self._beat)

    def guard(self) -> None:
        """End this process if the loop stays blocked for half a minute: nothing else can end what blocks it.

        Its leases have run out by then, and whoever supervises the process starts another one. Checks are counted, not
        seconds, since a process that was frozen finds its loop blocked until it has run again.
        """
        threading.Thread(target=self._end_when_blocked, name="growth-guard", daemon=True).start()

    def _end_when_blocked(self) -> None:
        blocked = 0
        while blocked < ENDED_AFTER_CHECKS:
            time.sleep(CHECK_EACH_S)
            blocked = blocked + 1 if self.stands_still() else 0
        log.critical("the event loop is blocked: this process ends, and others take over its work")
        logging.shutdown()
        os._exit(1)
