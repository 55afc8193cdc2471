"""How long a run of ten contacts takes alone, and beside a large run of another account.

First with stages that contact no server (`contenders/beside.py`), beside instant stages and beside slow mail servers.
Then in the sandbox, beside a run of 100,000: the whole engine runs as a user would run it, with PostgreSQL, Valkey,
workers, API, and the sandbox's DNS and SMTP servers, among them slow and greylisting ones; the small runs have domains
of their own, and their times are on the database's clock, from `created` to `completed` and to the first outcome.

Ends in one line of JSON. Of the sandbox: `alone_ms`, `beside_ms`, `first_outcome_alone_ms` and `first_outcome_ms` (of
the runs beside the large one), each with median and maximum. Under `instant` and `slow_servers`: how many times as long
a small run takes as alone (`ratio`, at most 2), and by how much later its first outcome comes (at most 1,000 ms), both
of medians.
"""

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import text

from bench.contenders.beside import FIRST, WHOLE, alone_and_beside, alone_of, beside_of
from bench.contenders.servers import running_servers
from bench.reporting.results import publish
from bench.reporting.turns import Table
from cli.accounts import create_account
from cli.client import ApiClient, Credentials
from cli.local.stack import Ports, Stack, running_stack
from cli.watching import FINISHED
from models.database import Database, open_database
from sandbox.domains import invent_domains
from sandbox.internet import Internet
from sandbox.people import Person, invent_exactly, invent_people

CONTACTS = 10
WARM_UP = 3
DOMAINS, OF_SMALL_RUNS = 660, 60
HOURS_S = 3600
ALONE, BESIDE = "sandbox: alone", "sandbox: beside the large run"
MODES = {"instant": "Z", "slow_servers": "T"}

TIMES = text("""
SELECT 1000 * extract(epoch FROM max(e.at) FILTER (WHERE e.kind = 'completed') - min(e.at)) AS whole,
       1000 * extract(epoch FROM (SELECT min(recorded_at) FROM outcomes WHERE run_id = :run_id) - min(e.at)) AS first
FROM run_events e WHERE e.run_id = :run_id
""")
DONE = text("SELECT count(*) FROM outcomes WHERE run_id = :run_id")


class Times(NamedTuple):
    """A run's times in milliseconds."""

    whole: float
    first_outcome: float


def main() -> None:
    """Print each run's times, then the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=20, help="Small runs, alone and beside the large one.")
    arguments.add_argument("--contacts", type=int, default=100_000, help="Of the large run in the sandbox.")
    arguments.add_argument("--instant", type=int, default=100_000, help="Of the large run with instant stages.")
    arguments.add_argument("--slow", type=int, default=20_000, help="Of the large run over slow mail servers.")
    options = arguments.parse_args()
    table = Table()
    with running_servers() as servers:
        for mode, contacts in (("Z", options.instant), ("T", options.slow)):
            table.add_all(alone_and_beside(servers, mode, contacts, options.runs))
    figures: dict[str, object] = {name: _compared(table, mode) for name, mode in MODES.items()}
    domains = invent_domains(seed=5, count=DOMAINS)
    needed = CONTACTS * (WARM_UP + 2 * options.runs)
    small = invent_exactly(5, valid=needed, found_unverified=0, unfindable=0, domains=domains[:OF_SMALL_RUNS])
    large = invent_people(5, options.contacts, domains[OF_SMALL_RUNS:])
    with (
        tempfile.TemporaryDirectory(prefix="growth-bench-") as home,
        Internet([*small, *large], domains) as internet,
        running_stack(Path(home), Ports(0, 0), processes=2, settings=_settings(internet)) as stack,
    ):
        in_sandbox, outcomes = _measure(stack, small, large, options.runs)
        table.add_all(in_sandbox)
    figures |= {
        "alone_ms": _spread(table, ALONE, WHOLE),
        "beside_ms": _spread(table, BESIDE, WHOLE),
        "first_outcome_alone_ms": _spread(table, ALONE, FIRST),
        "first_outcome_ms": _spread(table, BESIDE, FIRST),
        "runs": options.runs,
        "large_run": {"contacts": len(large), "outcomes_by_then": outcomes},
    }
    publish("fairness", "Ten contacts beside a large run of another account", table, figures, vars(options))


def _compared(table: Table, mode: str) -> dict[str, float | None]:
    alone, beside = table.median(alone_of(mode), FIRST) or 0, table.median(beside_of(mode), FIRST) or 0
    return {
        "alone_ms": round(table.median(alone_of(mode), WHOLE) or 0, 1),
        "beside_ms": round(table.median(beside_of(mode), WHOLE) or 0, 1),
        "ratio": table.ratio(WHOLE, beside_of(mode), alone_of(mode)),
        "first_outcome_later_ms": round(beside - alone, 1),
    }


def _settings(internet: Internet) -> dict[str, str]:
    return {**internet.settings(), "REQUESTS_PER_MINUTE": "100000"}


def _measure(stack: Stack, small: Sequence[Person], large: Sequence[Person], runs: int) -> tuple[Table, int]:
    """Return the times, and how many outcomes the large run had in the end."""
    table = Table()
    groups = [small[n : n + CONTACTS] for n in range(0, len(small), CONTACTS)]
    database = open_database(stack.database_url, pool_size=1)
    account = create_account(database, "Large", 4 * len(large))
    with (
        ApiClient(stack.credentials) as client,
        ApiClient(Credentials(stack.credentials.api_url, account.api_key)) as other,
    ):
        list(_small_runs(stack, client, database, groups[:WARM_UP], "warm-up"))
        for times in _small_runs(stack, client, database, groups[WARM_UP : WARM_UP + runs], ALONE):
            table.add(ALONE, WHOLE, [times.whole])
            table.add(ALONE, FIRST, [times.first_outcome])
        run_id = other.create_run(_contacts(large), "full_pipeline")
        stack.engine.wait_until(lambda: _done(database, run_id) > 0, "the large run's first outcome", seconds=HOURS_S)
        for times in _small_runs(stack, client, database, groups[WARM_UP + runs :], BESIDE):
            table.add(BESIDE, WHOLE, [times.whole])
            table.add(BESIDE, FIRST, [times.first_outcome])
        if other.read_run(run_id)["status"] in FINISHED:
            raise SystemExit("The large run ended before the small ones did: give it more --contacts.")
        outcomes = _done(database, run_id)
        other.cancel_run(run_id)
    database.close()
    return table, outcomes


def _small_runs(
    stack: Stack, client: ApiClient, database: Database, groups: Sequence[Sequence[Person]], label: str
) -> Iterator[Times]:
    for number, people in enumerate(groups, start=1):
        times = _one_run(stack, client, database, people)
        print(
            f"{label} {number:2}: {times.whole:8.1f} ms, first outcome after {times.first_outcome:8.1f} ms", flush=True
        )
        yield times


def _one_run(stack: Stack, client: ApiClient, database: Database, people: Sequence[Person]) -> Times:
    run_id = client.create_run(_contacts(people), "full_pipeline")
    stack.engine.wait_until(lambda: client.read_run(run_id)["status"] in FINISHED, f"run {run_id}", seconds=HOURS_S)
    state = client.read_run(run_id)
    if state["status"] != "completed":
        raise SystemExit(f"run {run_id} is {state['status']}: {state['progress']['message']}")
    with database.transaction() as session:
        times = session.execute(TIMES, {"run_id": run_id}).one()
    return Times(float(times.whole), float(times.first))


def _contacts(people: Sequence[Person]) -> list[dict[str, str]]:
    return [{"first_name": p.first_name, "last_name": p.last_name, "domain": p.domain} for p in people]


def _done(database: Database, run_id: str) -> int:
    with database.transaction() as session:
        return int(session.execute(DONE, {"run_id": run_id}).scalar_one())


def _spread(table: Table, row: str, column: str) -> dict[str, float]:
    values = table.rows[row][column]
    return {"median": round(statistics.median(values), 1), "max": round(max(values), 1)}


if __name__ == "__main__":
    main()
