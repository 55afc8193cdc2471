"""What `kill -9` of a worker costs: the engine beside Celery, Procrastinate and DBOS.

A run of 10,000 contacts whose stages wait 20 ms for each (`bench.contenders.engine_stages`). At 30 % of its outcomes
one of the two workers is killed while it works; two seconds later it is started again, as a supervisor does.
Contenders are killed in turn, and waited for together: what it takes then are timeouts, not speed.

- resumed: when the first of the contacts that the worker was working is worked again.
- completed: when the run is complete.
- worked twice: contacts whose work began more than once in a stage, that is, whose mail server is asked again.
- lost: outcomes that are not there when the waiting ends.

Celery delivers a dead worker's tasks again when the visibility timeout is over: an hour, unless it is set. Ends in one
line of JSON with these figures by contender; what did not happen in time is null.
"""

import argparse
import functools
import statistics
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bench.contenders.contender import Contender, wait_until, warm_up
from bench.contenders.engine import ENGINE, running_growth
from bench.contenders.peer import CELERY_CHUNKS, DBOS, PROCRASTINATE, Peer, running_peer
from bench.contenders.servers import Servers, running_servers
from bench.peers.work import STAGES, WAIT_S, WORK_LOG
from bench.reporting.results import publish
from bench.reporting.turns import Table, report

KILLED_AT, RESTARTED_AFTER_S, POLL_S = 0.3, 2.0, 0.02
A_MOMENT_OF_THE_LOG = 16_384
"""Bytes: some hundred contacts."""
IN_SHORT_S, IN_FULL_S = 60.0, 120.0
CELERY_20_S = replace(
    CELERY_CHUNKS,
    name="Celery, visibility timeout 20 s",
    environment={**CELERY_CHUNKS.environment, "BENCH_VISIBILITY_SECONDS": "20"},
)
CELERY_HOUR = replace(CELERY_CHUNKS, name="Celery, as it is")
KEYS = {
    ENGINE: "engine",
    CELERY_20_S.name: "celery_20_s",
    CELERY_HOUR.name: "celery",
    PROCRASTINATE.name: "procrastinate",
    DBOS.name: "dbos",
}
RESUMED, COMPLETED, TWICE, LOST = "resumed after: s", "completed after: s", "worked twice", "lost"
COLUMNS = {"resumed_s": RESUMED, "completed_s": COMPLETED, "worked_twice": TWICE, "lost": LOST}

Start = Callable[[Mapping[str, str]], AbstractContextManager[Contender]]


class Beginning(NamedTuple):
    """The work on a contact began then, in that process."""

    at: float
    pid: int


class Crash(NamedTuple):
    """What a crash cost. None: it did not happen while it was waited for."""

    resumed_s: float | None
    completed_s: float | None
    worked_twice: int
    lost: int


def main() -> None:
    """Crash all contenders, and print the figures."""
    options = _options()
    table = Table()
    with running_servers() as servers:
        starts = _contenders(servers, hourly=options.full)
        for number in range(1, options.rounds + 1):
            servers.empty_valkey()
            for name, crash in _crash_all(starts, servers.home, options.contacts, options.seconds).items():
                report(f"round {number} of {options.rounds}: {name}: {crash}")
                for figure, value in crash._asdict().items():
                    table.add(name, COLUMNS[figure], [] if value is None else [value])
    figures = {
        KEYS[name]: {figure: _median(cells[column]) for figure, column in COLUMNS.items()}
        for name, cells in table.rows.items()
    }
    publish("recovery", "One of two workers is killed", table, figures, vars(options))


def _options() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--full", action="store_true", help="five rounds, and Celery's own visibility timeout, too")
    arguments.add_argument("--contacts", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, help="1, or 5 with --full")
    arguments.add_argument("--seconds", type=float, help="how long is waited: 60, or 120 with --full")
    options = arguments.parse_args()
    options.rounds = options.rounds or (5 if options.full else 1)
    options.seconds = options.seconds or (IN_FULL_S if options.full else IN_SHORT_S)
    return options


def _contenders(servers: Servers, *, hourly: bool) -> Mapping[str, Start]:
    peers = [CELERY_20_S, PROCRASTINATE, DBOS, *([CELERY_HOUR] if hourly else [])]
    return {ENGINE: functools.partial(running_growth, servers)} | {peer.name: _start(peer, servers) for peer in peers}


def _start(peer: Peer, servers: Servers) -> Start:
    return functools.partial(running_peer, peer, servers)


def _crash_all(starts: Mapping[str, Start], folder: Path, contacts: int, seconds: float) -> Mapping[str, Crash]:
    """Until it is killed, each contender has the machine for itself."""
    turn = threading.Lock()
    with ThreadPoolExecutor(len(starts)) as pool:
        crashes = {
            name: pool.submit(_crash, start, folder / f"work-{number}.log", contacts, seconds, turn)
            for number, (name, start) in enumerate(starts.items())
        }
        return {name: crash.result() for name, crash in crashes.items()}


def _crash(start: Start, log: Path, contacts: int, seconds: float, turn: threading.Lock) -> Crash:
    with ExitStack() as stack:
        with turn:
            contender = stack.enter_context(start({WORK_LOG: str(log)}))
            warm_up(contender)
            log.write_text("")
            run_id = contender.begin(contacts, "S").run_id
            wait_until(
                lambda: contender.recorded(run_id) >= KILLED_AT * contacts * len(STAGES), "the middle of the run"
            )
            victims = contender.worker_pids()
            wait_until(lambda: _is_working(log, victims), "a worker with work in hand")
            contender.kill_worker()
            killed_at = time.monotonic()
        # The length of the outage itself.
        time.sleep(RESTARTED_AFTER_S)
        contender.start_worker_again()
        while not (is_complete := contender.is_complete(run_id)) and time.monotonic() < killed_at + seconds:
            time.sleep(POLL_S)
        completed_s = time.monotonic() - killed_at if is_complete else None
        lost = contacts * len(STAGES) - contender.recorded(run_id)
    begun = _read(log)
    return Crash(_resumed_s(begun, victims, killed_at), completed_s, sum(len(each) > 1 for each in begun), lost)


def _is_working(log: Path, pids: Collection[int]) -> bool:
    """Whether one of these processes has begun a contact's work that can't be over: it could otherwise be idle."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - A_MOMENT_OF_THE_LOG))
        lines = file.read().decode().splitlines()[1:]
    begun = (line.split() for line in lines)
    return any(int(pid) in pids and float(at) > time.monotonic() - WAIT_S / 2 for _, _, pid, at in begun)


def _read(log: Path) -> Collection[Sequence[Beginning]]:
    """When and by which process the work on each contact of a stage began."""
    begun: dict[tuple[str, str], list[Beginning]] = {}
    for line in log.read_text().splitlines():
        stage, position, pid, at = line.split()
        begun.setdefault((stage, position), []).append(Beginning(float(at), int(pid)))
    return begun.values()


def _resumed_s(begun: Collection[Sequence[Beginning]], victims: Collection[int], killed_at: float) -> float | None:
    """Seconds from the kill until a contact of the killed worker is begun again; None if none is."""
    interrupted = (each for each in begun if any(beginning.pid in victims for beginning in each))
    again = [beginning.at for each in interrupted for beginning in each if beginning.pid not in victims]
    return min(again) - killed_at if again else None


def _median(values: Collection[float]) -> float | None:
    return round(statistics.median(values), 1) if values else None


if __name__ == "__main__":
    main()
