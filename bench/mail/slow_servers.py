"""A run over slow mail servers, through real SMTP and all parts that `growth up` starts.

8,000 contacts at 400 domains, whose servers greet after 0.3 s (80 %), 2 s (15 %) or 15 s (5 %). With `--full` 40,000
contacts at 2,000 domains, too, and beside the engine a bare loop that knows all addresses, with a session a domain and
400 at once. Time is from the run's `created` event to its `completed` one, on the database's clock. The best possible
is one greeting of each server, 400 at once. Ends in one line of JSON: `seconds_8000`, `best_8000` and `ratio_8000`,
which should be 1.5 at most; with `--full` the same of 40,000.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import text

from bench.contenders.engine import ENGINE
from bench.reporting.results import publish
from bench.reporting.turns import Table, report
from bench.servers.slow import SlowServers, host_ip, slow_servers
from bench.servers.slow_domains import CONVERSATIONS, best_possible_s
from cli.client import ApiClient
from cli.local.stack import Ports, running_stack
from cli.watching import FINISHED
from models.database import open_database

EACH = 20
IN_SHORT, IN_FULL = 8_000, 40_000
BARE, BEST = "asyncio, a session a domain", "the best possible"
LIMIT_S = 3600
LIFE = text("""
SELECT extract(epoch FROM max(at) FILTER (WHERE kind = 'completed') - min(at) FILTER (WHERE kind = 'created'))
FROM run_events WHERE run_id = :run_id
""")


def main() -> None:
    """Measure each size, and print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--full", action="store_true")
    arguments.add_argument("--contacts", type=int, nargs="+", help=f"{IN_SHORT}; with --full {IN_FULL}, too")
    options = arguments.parse_args()
    sizes = options.contacts or ([IN_SHORT, IN_FULL] if options.full else [IN_SHORT])
    table, figures = Table(), dict[str, float | None]()
    for contacts in sizes:
        column = f"{contacts:,} contacts: s"
        with slow_servers(contacts // EACH, EACH) as servers:
            report(f"{contacts} contacts at {contacts // EACH} domains")
            table.add(ENGINE, column, [_engine(servers)])
            if options.full:
                table.add(BARE, column, [asyncio.run(_bare(servers))])
            table.add(BEST, column, [best_possible_s(servers.domains)])
        figures |= {
            f"seconds_{contacts}": round(table.median(ENGINE, column) or 0, 1),
            f"best_{contacts}": round(table.median(BEST, column) or 0, 1),
            f"ratio_{contacts}": table.ratio(column, ENGINE, BEST),
        }
    publish("slow_servers", "A run over slow mail servers, through real SMTP", table, figures, {"contacts": sizes})


def _engine(servers: SlowServers) -> float:
    contacts = [
        {"first_name": given.title(), "last_name": family.title(), "domain": domain}
        for domain, members in servers.people.items()
        for given, family in members
    ]
    settings = {**servers.settings(), "REQUESTS_PER_MINUTE": "100000"}
    with (
        tempfile.TemporaryDirectory(prefix="growth-bench-") as home,
        running_stack(Path(home), Ports(0, 0), settings=settings) as stack,
        ApiClient(stack.credentials) as client,
    ):
        run_id = client.create_run(contacts, "full_pipeline")
        stack.engine.wait_until(lambda: client.read_run(run_id)["status"] in FINISHED, f"run {run_id}", LIMIT_S)
        state = client.read_run(run_id)
        if state["preview"].get("delivered_counts", {}).get("verified_emails") != len(contacts):
            raise SystemExit(f"The run is {state['status']}, and not all addresses are found: {state['gap_report']}")
        return _life(stack.database_url, run_id)


def _life(database_url: str, run_id: str) -> float:
    database = open_database(database_url, pool_size=1)
    with database.transaction() as session:
        seconds = float(session.execute(LIFE, {"run_id": run_id}).scalar_one())
    database.close()
    return seconds


async def _bare(servers: SlowServers) -> float:
    """The floor: it knows the addresses and the hosts, and asks each once."""
    at_once, started = asyncio.Semaphore(CONVERSATIONS), time.monotonic()

    async def session(number: int, addresses: Sequence[str]) -> int:
        async with at_once:
            reader, writer = await asyncio.open_connection(host_ip(number), servers.smtp_port)
            await reader.readline()
            recipients = "".join(f"RCPT TO:<{address}>\r\n" for address in addresses)
            writer.write(f"HELO client.test\r\nMAIL FROM:<bench@sender.test>\r\n{recipients}QUIT\r\n".encode())
            replies = await reader.read(-1)
            writer.close()
            return replies.count(b"250 2.1.5")

    asked = [
        session(number, [f"{given}.{family}@{domain}" for given, family in members])
        for number, (domain, members) in enumerate(servers.people.items())
    ]
    accepted = sum(await asyncio.gather(*asked))
    if accepted != sum(map(len, servers.people.values())):
        raise SystemExit(f"The bare loop had only {accepted} addresses accepted.")
    return time.monotonic() - started


if __name__ == "__main__":
    main()
