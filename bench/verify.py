"""How fast addresses are verified, side by side with other ways to do it, in one run.

2,000 addresses over 200 domains, each domain with a mail host of its own, on two servers: Postfix's `smtp-sink`,
where processor time is the limit, and the same behind a link of 20 ms round trip, where waiting is. The link delays
all bytes equally: commands that are sent together wait once. Each figure is the median of repetitions, in each of which
every row is measured once; `bench.contenders.verify_rows` says what each row does, and how the comparison is
kept fair. `smtp-sink` accepts every address, so every domain is a catch-all, which our engine detects on the way.

    apt-get install postfix             # smtp-sink and smtp-source; choose "No configuration", it need not run
    python -m bench.verify [--runs 5]   # the Python peers are installed by `make bench`; otherwise they are left out

Ends in one line of JSON: `sink_ratio_best_peer` and `link_ratio_best_peer` (our speed as a multiple of the best Python
peer's), `sink_ratio_smtp_source` (of smtp-source with one recipient a session), `addresses_per_cpu_s` (ours, on the
sink, per second of one process's processor time), `peers_missing` (not installed, so not in the ratios).
"""

import argparse
import functools
from collections.abc import Mapping, Sequence

from bench.contenders.verify_rows import OURS, PEERS, SMTP_SOURCE, measurable_rows, measure
from bench.contenders.verify_target import Target, domain_name, mail_host
from bench.reporting.results import publish
from bench.reporting.turns import Table, Turn, take_turns
from bench.servers.smtp_sink import link, name_server, smtp_sink

DOMAINS = 200
EACH = 10
ROUND_TRIP = 0.020
ON_SINK, OVER_LINK = "smtp-sink: addresses/s", "20 ms away: addresses/s"
PER_CPU_SECOND = "smtp-sink: addresses per CPU s"


def main() -> None:
    """Measure every row on both servers, and print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=5)
    runs = arguments.parse_args().runs
    with smtp_sink() as sink, link(sink, ROUND_TRIP) as near_end, name_server(_zone()) as (_, dns_port):
        target = functools.partial(Target, dns_port=dns_port, domains=DOMAINS, each=EACH)
        table = take_turns(_turns(target(smtp_port=sink), ON_SINK), runs)
        table.add_all(take_turns(_turns(target(smtp_port=near_end), OVER_LINK), runs))
    publish("verify", "Verifying 2,000 addresses at 200 domains", table, _figures(table), {"runs": runs})


def _zone() -> Mapping[tuple[str, str], Sequence[str]]:
    zone: dict[tuple[str, str], Sequence[str]] = {}
    for number in range(DOMAINS):
        host, ip = mail_host(number)
        zone[domain_name(number), "MX"], zone[host, "A"] = [f"10 {host}."], [ip]
    return zone


def _turns(target: Target, column: str) -> Mapping[str, Turn]:
    return {row: functools.partial(_measured, row, target, column) for row in measurable_rows()}


def _measured(row: str, target: Target, column: str) -> dict[str, Sequence[float]]:
    measured = measure(row, target)
    cells: dict[str, Sequence[float]] = {column: [measured.addresses / measured.seconds]}
    # smtp-source is another process, and costs nothing there.
    if column == ON_SINK and not row.startswith("smtp-source"):
        cells[PER_CPU_SECOND] = [measured.addresses / measured.cpu_seconds]
    return cells


def _figures(table: Table) -> Mapping[str, float | list[str] | None]:
    return {
        "sink_ratio_best_peer": _ratio(table, ON_SINK, PEERS),
        "sink_ratio_smtp_source": _ratio(table, ON_SINK, [SMTP_SOURCE]),
        "link_ratio_best_peer": _ratio(table, OVER_LINK, PEERS),
        "addresses_per_cpu_s": round(table.median(OURS, PER_CPU_SECOND) or 0),
        "peers_missing": [row for row in PEERS if row not in table.rows],
    }


def _ratio(table: Table, column: str, rows: Sequence[str]) -> float | None:
    """Our speed as a multiple of the fastest of these rows'."""
    ratios = [ratio for row in rows if (ratio := table.ratio(column, OURS, row))]
    return min(ratios) if ratios else None


if __name__ == "__main__":
    main()
