"""Runs of ten contacts beside a large run of another account, stages that contact no server: part of `fairness.py`.

The large run's stages answer at once (Z), or are conversations with slow mail servers (T). Those of the small runs take
20 ms a contact (S), so that a small run's own work is always the same.
"""

import time

from bench.contenders.contender import TEN, wait_until, warm_up
from bench.contenders.engine import RunningEngine, running_growth
from bench.contenders.servers import Servers
from bench.reporting.turns import Table, report

SCENES = {"Z": "instant stages", "T": "slow mail servers"}
WHOLE, FIRST = "ten contacts: ms", "first outcome: ms"


def alone_of(mode: str) -> str:
    """The row of the small runs before the large one."""
    return f"{SCENES[mode]}: alone"


def beside_of(mode: str) -> str:
    """The row of the small runs beside the large one."""
    return f"{SCENES[mode]}: beside the large run"


def alone_and_beside(servers: Servers, mode: str, contacts: int, runs: int) -> Table:
    """The times of small runs alone, and beside a large run of that mode. Ends the program if that was too small."""
    table = Table()
    with running_growth(servers) as engine:
        warm_up(engine)
        engine.analyse()
        for _ in range(runs):
            _small_run(engine, table, alone_of(mode))
        large = engine.begin(contacts, mode, engine.open_account("Large")).run_id
        wait_until(lambda: engine.recorded(large) > 0, "the first outcome of the large run")
        for _ in range(runs):
            _small_run(engine, table, beside_of(mode))
        if engine.is_complete(large):
            raise SystemExit("The large run ended before the small ones did: give it more contacts.")
        report(f"{SCENES[mode]}: {engine.recorded(large)} outcomes of the large run by then")
    return table


def _small_run(engine: RunningEngine, table: Table, row: str) -> None:
    begun = engine.begin(TEN, "S")
    wait_until(lambda: engine.is_complete(begun.run_id), "the end of a small run")
    table.add(row, WHOLE, [1000 * (time.monotonic() - begun.at)])
    table.add(row, FIRST, [engine.first_outcome_ms(begun.run_id)])
