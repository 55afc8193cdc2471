"""What the bookkeeping of a run costs, beside what else one would use: Celery, Procrastinate, DBOS, and a bare floor.

The engine is the project's own, with stages that contact no server (`bench.contenders.engine_stages`). The peers do
the same work (`bench.peers`), on the same PostgreSQL and Valkey, with two worker processes each. All take turns. Time
counts from before a run is handed over until it is seen as completed; the engine has written the export files by then,
the peers write none.

- Instant stages answer at once; with evidence, they give what real stages give, which is kept for later runs.
- Stages of 20 ms wait so long for each contact, for at most 100 contacts at once in a worker process.
- Slow mail servers (`bench.servers.slow_domains`) have one conversation for ten contacts, 400 at once in all.

The last line is JSON: for 10,000 contacts `z10000_of_floor`, `z10000_of_celery_chunks`, `z10000_of_procrastinate` and
`z10000_of_dbos` (our contacts/s by theirs, instant stages), the same with `s10000` (stages of 20 ms), `t10000_of_best`
(our seconds by the fewest possible, slow mail servers), `ten_ms` (ten contacts, stages of 20 ms) and
`ten_of_celery_chunks`, `fresh_of_analysed` (instant stages on a database that was never analysed), `cpu_us_per_contact`
(instant stages, all processes but PostgreSQL's) and `cpu_us_with_evidence`.
"""

import argparse
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from bench.contenders.contender import TEN, Contender, seconds_of_run, warm_up
from bench.contenders.engine import ENGINE, running_growth
from bench.contenders.peer import CELERY_CHUNKS, CELERY_CONTACTS, DBOS, FLOOR, PROCRASTINATE, Peer, running_peer
from bench.contenders.servers import Servers, running_servers
from bench.reporting.results import publish
from bench.reporting.turns import Table, Turn, report, take_turns
from bench.servers.slow_domains import best_possible_s

FRESH = f"{ENGINE}, never analysed"
BEST = "the best possible"
PEERS = {
    "floor": FLOOR,
    "celery_chunks": CELERY_CHUNKS,
    "procrastinate": PROCRASTINATE,
    "dbos": DBOS,
}
SLOW_PEER_CONTACTS = 500
"""For Celery with a task a contact, which would take a minute for 10,000."""
LARGE = 100_000
TEN_MS = "ten contacts: ms"
LARGE_RUN = "Z large"
NAMES = {"Z": "instant", "R": "with evidence", "S": "20 ms", LARGE_RUN: f"instant, {LARGE:,}"}

Cells = dict[str, Sequence[float]]


def main() -> None:
    """Measure everything, and print the figures."""
    given = _options()
    size, rounds = given.contacts, given.rounds
    with running_servers() as servers:
        measure = _Measure(servers, size, given.tens)
        engine: Turn = functools.partial(measure.engine, LARGE if given.full else 0)
        turns: dict[str, Turn] = {
            ENGINE: engine,
            **{peer.name: functools.partial(measure.peer, peer) for peer in PEERS.values()},
        }
        table = _with_fresh_row(take_turns(turns, rounds))
        if given.celery_contacts:
            slow = functools.partial(measure.peer, CELERY_CONTACTS, min(size, SLOW_PEER_CONTACTS))
            table.add_all(take_turns({CELERY_CONTACTS.name: slow}, 1))
        for contacts in given.slow:
            _slow_servers(servers, table, contacts)
    figures = _figures(table, size, given.slow, is_full=given.full)
    publish("orchestration", f"Runs of {size:,} contacts whose stages contact no server", table, figures, vars(given))


def _options() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--full", action="store_true", help="more rounds, and 100,000 contacts, too")
    arguments.add_argument("--contacts", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, help="2, or 5 with --full")
    arguments.add_argument("--tens", type=int, default=11, help="runs of ten contacts in each turn")
    arguments.add_argument(
        "--slow", type=int, nargs="*", help="sizes of runs over slow mail servers: 10000, with --full 100000, too"
    )
    arguments.add_argument(
        "--celery-contacts", action=argparse.BooleanOptionalAction, default=True, help="Celery with a task a contact"
    )
    given = arguments.parse_args()
    given.rounds = given.rounds or (5 if given.full else 2)
    if given.slow is None:
        given.slow = [10_000, LARGE] if given.full else [10_000]
    return given


class _Measure:
    """One turn of a contender: it is started, warmed up, measured and stopped."""

    def __init__(self, servers: Servers, contacts: int, tens: int) -> None:
        self._servers, self._contacts, self._tens = servers, contacts, tens

    def engine(self, large: int) -> Cells:
        self._servers.empty_valkey()
        with running_growth(self._servers) as engine:
            warm_up(engine)
            never_analysed = self._run(engine, "Z", self._contacts)
            engine.analyse()
            cells = self._all_modes(engine, self._contacts) | self._run(engine, "R", self._contacts)
            if large:
                cells |= self._run(engine, LARGE_RUN, large)
        return cells | {f"{FRESH}: {column}": values for column, values in never_analysed.items()}

    def peer(self, peer: Peer, contacts: int = 0) -> Cells:
        self._servers.empty_valkey()
        with running_peer(peer, self._servers) as running:
            warm_up(running)
            running.analyse()
            return self._all_modes(running, contacts or self._contacts)

    def _all_modes(self, contender: Contender, contacts: int) -> Cells:
        cells = self._run(contender, "Z", contacts) | self._run(contender, "S", contacts)
        return cells | {TEN_MS: [1000 * seconds_of_run(contender, TEN, "S") for _ in range(self._tens)]}

    def _run(self, contender: Contender, mode: str, contacts: int) -> Cells:
        """Contacts/s, and where nothing is waited for also the processor time of a contact."""
        before = self._processor_seconds(contender)
        rate = contacts / seconds_of_run(contender, contacts, mode[0])
        if mode == "S":
            return {speed_of(mode): [rate]}
        microseconds = (self._processor_seconds(contender) - before) / contacts * 1e6
        return {speed_of(mode): [rate], processor_of(mode): [microseconds]}

    def _processor_seconds(self, contender: Contender) -> float:
        return contender.processor_seconds() + self._servers.valkey_seconds()


def speed_of(mode: str) -> str:
    """The column of a mode's speed."""
    return f"{NAMES[mode]}: contacts/s"


def processor_of(mode: str) -> str:
    """The column of what a mode costs."""
    return f"{NAMES[mode]}: CPU µs each"


def slow_of(contacts: int) -> str:
    """The column of a run over slow mail servers."""
    return f"slow servers, {contacts:,}: s"


def _slow_servers(servers: Servers, table: Table, contacts: int) -> None:
    """Once: what it takes are the servers' pauses, whatever else the machine does."""
    with running_growth(servers) as engine:
        warm_up(engine)
        engine.analyse()
        domains = engine.domains_of_next_run(contacts)
        report(f"{contacts} contacts over {len(domains)} slow mail servers")
        table.add(ENGINE, slow_of(contacts), [seconds_of_run(engine, contacts, "T")])
    table.add(BEST, slow_of(contacts), [2 * best_possible_s(domains)])


def _with_fresh_row(table: Table) -> Table:
    """Give what was measured on a fresh database a row of its own."""
    sorted_out = Table()
    for row, cells in table.rows.items():
        for column, values in cells.items():
            fresh, is_fresh, name = column.partition(f"{FRESH}: ")
            sorted_out.add(FRESH if is_fresh else row, name if is_fresh else fresh, values)
    return sorted_out


def _figures(table: Table, size: int, slow: Sequence[int], *, is_full: bool) -> Mapping[str, Any]:
    instant = speed_of("Z")
    figures: dict[str, Any] = {}
    for mode in "ZS":
        for name, peer in PEERS.items():
            figures[f"{mode.lower()}{size}_of_{name}"] = table.ratio(speed_of(mode), ENGINE, peer.name)
    for contacts in slow:
        figures[f"t{contacts}_of_best"] = table.ratio(slow_of(contacts), ENGINE, BEST)
    figures |= {
        "ten_ms": _rounded(table.median(ENGINE, TEN_MS)),
        "ten_of_celery_chunks": table.ratio(TEN_MS, ENGINE, CELERY_CHUNKS.name),
        "fresh_of_analysed": table.ratio(instant, FRESH, ENGINE),
        "cpu_us_per_contact": _rounded(table.median(ENGINE, processor_of("Z"))),
        "cpu_us_with_evidence": _rounded(table.median(ENGINE, processor_of("R"))),
    }
    if is_full:
        large, small = table.median(ENGINE, speed_of(LARGE_RUN)), table.median(ENGINE, instant)
        figures[f"z{LARGE}_of_z{size}"] = round(large / small, 3) if large and small else None
    return figures


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


if __name__ == "__main__":
    main()
