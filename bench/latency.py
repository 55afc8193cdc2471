"""How long a run of ten contacts takes from being enqueued to `completed`, with everything local.

The whole engine runs as a user would run it: PostgreSQL, Valkey, one Celery worker, API, and the sandbox's
DNS and SMTP servers. Each run is created over HTTP; its time runs from its `created` event to its
`completed` one, both on the database's clock. Ends in one line of JSON with `median_ms`.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import text

from bench.reporting.results import publish
from bench.reporting.turns import Table
from cli.client import ApiClient
from cli.local.stack import Ports, Stack, running_stack
from cli.watching import FINISHED
from models.database import Database, open_database
from sandbox.domains import invent_domains
from sandbox.internet import Internet
from sandbox.people import Person, invent_exactly

CONTACTS = 10
WARM_UP = 3
DURATION = text("""
SELECT 1000 * extract(epoch FROM max(at) FILTER (WHERE kind = 'completed') - min(at) FILTER (WHERE kind = 'created'))
FROM run_events WHERE run_id = :run_id
""")


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=20)
    runs = arguments.parse_args().runs
    domains = invent_domains(seed=3)
    crowd = invent_exactly(3, valid=CONTACTS * (runs + WARM_UP), found_unverified=0, unfindable=0, domains=domains)
    with (
        tempfile.TemporaryDirectory(prefix="growth-bench-") as home,
        Internet(crowd, domains) as internet,
        running_stack(Path(home), Ports(0, 0), processes=1, settings=internet.settings()) as stack,
    ):
        times = list(_measure(stack, [crowd[n : n + CONTACTS] for n in range(0, len(crowd), CONTACTS)]))[WARM_UP:]
    table = Table()
    table.add("Growth engine", "ten contacts: ms", times)
    figures = {"median_ms": round(statistics.median(times), 1), "max_ms": round(max(times), 1), "runs": runs}
    publish("latency", "A run of ten contacts in the sandbox", table, figures)


def _measure(stack: Stack, groups: Sequence[Sequence[Person]]) -> Iterator[float]:
    database = open_database(stack.database_url, pool_size=1)
    with ApiClient(stack.credentials) as client:
        for people in groups:
            yield _one_run(stack, client, database, people)
    database.close()


def _one_run(stack: Stack, client: ApiClient, database: Database, people: Sequence[Person]) -> float:
    contacts = [{"first_name": p.first_name, "last_name": p.last_name, "domain": p.domain} for p in people]
    run_id = client.create_run(contacts, "full_pipeline")
    stack.engine.wait_until(lambda: client.read_run(run_id)["status"] in FINISHED, f"run {run_id}")
    state = client.read_run(run_id)
    if state["preview"].get("delivered_counts", {}).get("verified_emails") != CONTACTS:
        raise SystemExit(f"run {run_id} did not find all of its contacts: {json.dumps(state['gap_report'])}")
    with database.transaction() as session:
        return float(session.execute(DURATION, {"run_id": run_id}).scalar_one())


if __name__ == "__main__":
    main()
