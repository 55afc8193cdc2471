"""`python -m worker`: as many worker processes as there are cores, each started again when it ends by itself.

A worker process is a Celery worker with an event loop. It uses one core, so that a machine needs several.
"""

import argparse
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from types import FrameType

from models.database import check_at_start
from models.pauses import doubling_pause
from settings import load_settings, required
from settings.mail import check_files
from settings.sources import sources_or_exit
from worker.child import child_command

USABLE_AFTER_S = 10.0
"""A process that ends sooner with an error can't start at all, such as with unusable settings."""
LONGEST_PAUSE_S = 30
POLL_S = 0.1

log = logging.getLogger("worker")


@dataclass(slots=True)
class _Worker:
    """One worker process, and its successors."""

    hostname: str
    app: str
    popen: "subprocess.Popen[bytes]"
    started_at: float
    ends_in_a_row: int = 0
    start_at: float = 0.0

    def start(self) -> None:
        self.popen, self.started_at = _start(self.app, self.hostname), time.monotonic()


def main() -> int:
    """Run workers until SIGTERM or SIGINT. Returns the exit code: that of a process that could not start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    arguments = _arguments()
    _check_settings()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    workers = [_first(arguments.app, name) for name in _hostnames(arguments.hostname, arguments.processes)]
    try:
        return _watch(workers)
    except _Stopping:
        return _end(workers)


class _Stopping(Exception):
    """Raised by SIGTERM and SIGINT."""


def _stop(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise _Stopping


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--processes", type=_count, default=os.cpu_count() or 1, help="how many (default: cores)")
    parser.add_argument("--hostname", default="worker@%h", help="Celery's name of the worker (default: worker@%%h)")
    parser.add_argument("--app", default="worker.app", help=argparse.SUPPRESS)
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("give the number of processes, which is at least 1")
    return int(text)


def _check_settings() -> None:
    """End with a sentence if no process could work: here it is said once, before anything is started."""
    settings = required(load_settings(), "database_url", "redis_url")
    check_files(settings)
    sources_or_exit(settings)
    check_at_start(settings.database_url)


def _hostnames(hostname: str, processes: int) -> list[str]:
    """The first process has the name itself, so that a health check knows it."""
    name, _, host = hostname.partition("@")
    return [hostname, *(f"{name}-{number}@{host}" for number in range(2, processes + 1))]


def _first(app: str, hostname: str) -> _Worker:
    return _Worker(hostname, app, _start(app, hostname), time.monotonic())


def _start(app: str, hostname: str) -> "subprocess.Popen[bytes]":
    command = ("celery", "-A", app, "worker", "--hostname", hostname, "--loglevel", "INFO")
    return subprocess.Popen(  # noqa: S603 - our own module, no shell
        child_command((*command, "--without-mingle", "--without-gossip")),
        stdin=subprocess.DEVNULL,
        # Celery prints its banner and "Warm shutdown" here, once for each process; its log goes to stderr.
        stdout=subprocess.DEVNULL,
        # A Ctrl-C in the terminal is ours to pass on: a second signal would cut the tasks in hand.
        start_new_session=True,
    )


def _watch(workers: list[_Worker]) -> int:
    """Start again what ends. Returns the exit code of a process that can't start."""
    while True:
        for worker in workers:
            code = worker.popen.poll()
            if code is None:
                continue
            if code > 0 and not worker.ends_in_a_row and time.monotonic() - worker.started_at < USABLE_AFTER_S:
                _end(workers)
                return code
            _start_again(worker, code)
        time.sleep(POLL_S)


def _start_again(worker: _Worker, code: int) -> None:
    """Start a process that ended: at once, or after a pause if it keeps ending."""
    now = time.monotonic()
    if not worker.start_at:
        lived_s = now - worker.started_at
        worker.ends_in_a_row = 1 if lived_s > LONGEST_PAUSE_S else worker.ends_in_a_row + 1
        pause_s = doubling_pause(worker.ends_in_a_row, LONGEST_PAUSE_S) / 2
        log.error(
            "%s ended with code %s after %.0f s: it starts again in %g s", worker.hostname, code, lived_s, pause_s
        )
        worker.start_at = now + pause_s
    if now >= worker.start_at:
        worker.start_at = 0.0
        worker.start()


def _end(workers: list[_Worker]) -> int:
    """Stop all processes, and wait until they have ended. Returns the worst of their exit codes."""
    log.info("stopping: tasks record what they have, and release the rest")
    for worker in workers:
        worker.popen.terminate()
    codes = [worker.popen.wait() for worker in workers]
    return max(abs(code) for code in codes)


if __name__ == "__main__":
    sys.exit(main())
