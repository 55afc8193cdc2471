"""What a benchmark asks of a contender, and the times that it takes."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import psutil

SOON_S, LATER_S = 0.002, 0.02
"""How often it is looked whether a run is complete: more often for one of ten contacts."""
TEN = 10
WARM_UP_RUNS = 3
LIMIT_S, LIMIT_OF_TEN_S = 1800.0, 60.0


class Begun(NamedTuple):
    """A run that was handed over, and when that began (`time.monotonic`)."""

    run_id: str
    at: float


class Contender(Protocol):
    """A running contender."""

    def begin(self, contacts: int, mode: str) -> Begun:
        """Hand a run over."""

    def is_complete(self, run_id: str) -> bool: ...

    def recorded(self, run_id: str) -> int:
        """How many outcomes are committed, of both stages."""

    def analyse(self) -> None:
        """Vacuum and analyse, as autovacuum has done on a server that has run for a while."""

    def processor_seconds(self) -> float:
        """The processor time used so far, by all of its processes but PostgreSQL's and Valkey's."""

    def worker_pids(self) -> Sequence[int]:
        """The ids of the first worker's processes."""

    def kill_worker(self) -> None:
        """End the first of the two workers with SIGKILL."""

    def start_worker_again(self) -> None:
        """Start the killed worker again, as a supervisor does."""


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Await a condition. Ends the program if it does not come."""
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come within {LIMIT_S:.0f} s.")
        time.sleep(SOON_S)


def seconds_of_run(contender: Contender, contacts: int, mode: str) -> float:
    """Do a run: the time from before it is handed over until it is seen as complete."""
    begun = contender.begin(contacts, mode)
    pause, limit = (SOON_S, LIMIT_OF_TEN_S) if contacts <= TEN else (LATER_S, LIMIT_S)
    while not contender.is_complete(begun.run_id):
        if time.monotonic() - begun.at > limit:
            raise SystemExit(f"A run of {contacts} contacts was not complete after {limit:.0f} s.")
        time.sleep(pause)
    return time.monotonic() - begun.at


def warm_up(contender: Contender) -> None:
    """Do small runs, so that no import, connection or first use is on the clock."""
    for _ in range(WARM_UP_RUNS):
        seconds_of_run(contender, TEN, "S")


def seconds_used(processes: Iterable[psutil.Process]) -> float:
    """The processor time that these processes, and those that they started, have used so far."""
    family = {each for process in processes for each in (process, *process.children(recursive=True))}
    return sum(times.user + times.system for times in (process.cpu_times() for process in family))


def pids_of_family(pid: int) -> Sequence[int]:
    """The ids of a process and of all that it started."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
