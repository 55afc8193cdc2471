"""How fast addresses are verified, side by side with other ways to do it, in one run.

2,000 addresses over 200 domains, each domain with a mail host of its own, on two servers: Postfix's `smtp-sink`,
where processor time is the limit, and the same behind a link of 20 ms round trip, where waiting is. The link delays
all bytes equally: commands that are sent together wait once. Each figure is the median of repetitions, in each of which
every row is measured once; `bench/verify_rows.py` says what each row does and how the comparison is kept fair.
`smtp-sink` accepts every address, so every domain is a catch-all, which our engine detects on the way.

    apt-get install postfix             # smtp-sink and smtp-source; choose "No configuration", it need not run
    pip install -e .[bench]             # the Python peers; a missing one is left out, and named
    python bench/verify.py [--runs 5]

Ends in one line of JSON: `sink_ratio_best_peer` and `link_ratio_best_peer` (our speed as a multiple of the best Python
peer's), `sink_ratio_smtp_source` (of smtp-source with one recipient a session), `addresses_per_cpu_s` (ours, on the
sink, per second of one process's processor time), `peers_missing` (not installed, so not in the ratios).
"""

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence

from verify_rows import PEERS, ROWS, Measured, Target, domain_name, is_installed, mail_host, measure
from verify_servers import link, name_server, smtp_sink

DOMAINS = 200
EACH = 10
ROUND_TRIP = 0.020
OURS = "engine"
SMTP_SOURCE = "smtp-source, 1 recipient"

Speeds = Mapping[str, Sequence[Measured]]


def main() -> None:
    """Measure every row on both servers, and print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=5)
    runs = arguments.parse_args().runs
    with smtp_sink() as sink, link(sink, ROUND_TRIP) as near_end, name_server(_zone()) as (_, dns_port):
        on_sink = _rows("smtp-sink", runs, Target(sink, dns_port, DOMAINS, EACH))
        over_link = _rows("smtp-sink behind 20 ms", runs, Target(near_end, dns_port, DOMAINS, EACH))
    print(json.dumps(_figures(on_sink, over_link)))


def _zone() -> Mapping[tuple[str, str], Sequence[str]]:
    zone: dict[tuple[str, str], Sequence[str]] = {}
    for number in range(DOMAINS):
        host, ip = mail_host(number)
        zone[domain_name(number), "MX"], zone[host, "A"] = [f"10 {host}."], [ip]
    return zone


def _rows(server: str, runs: int, target: Target) -> Speeds:
    rows = [row for row in ROWS if is_installed(row)]
    measured: dict[str, list[Measured]] = {row: [] for row in rows}
    for _ in range(runs):
        for row in rows:
            measured[row].append(measure(row, target))
    print(f"\n{server:34}  addresses/s  per CPU second")
    for row, each in measured.items():
        print(f"  {row:32}  {_median(each):11,.0f}  {_per_cpu(row, each)}")
    return measured


def _per_cpu(row: str, measured: Sequence[Measured]) -> str:
    return "" if row.startswith("smtp-source") else f"{_median_per_cpu(measured):14,.0f}"


def _median(measured: Sequence[Measured]) -> float:
    return statistics.median(each.addresses / each.seconds for each in measured)


def _median_per_cpu(measured: Sequence[Measured]) -> float:
    return statistics.median(each.addresses / each.cpu_seconds for each in measured)


def _figures(on_sink: Speeds, over_link: Speeds) -> Mapping[str, float | list[str] | None]:
    return {
        "sink_ratio_best_peer": _ratio(on_sink, PEERS),
        "sink_ratio_smtp_source": _ratio(on_sink, [SMTP_SOURCE]),
        "link_ratio_best_peer": _ratio(over_link, PEERS),
        "addresses_per_cpu_s": round(_median_per_cpu(on_sink[OURS])),
        "peers_missing": [row for row in PEERS if not is_installed(row)],
    }


def _ratio(measured: Speeds, rows: Sequence[str]) -> float | None:
    others = [_median(measured[row]) for row in rows if row in measured]
    return round(_median(measured[OURS]) / max(others), 2) if others else None


if __name__ == "__main__":
    main()
