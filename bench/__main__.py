"""Runs the benchmarks one after the other: `python -m bench [--full] [NAME ...]`.

One that can't run here, such as without Postfix's test programs, says why, and the others go on.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from bench.reporting.machine import ROOT


class Options(NamedTuple):
    """What a benchmark is given, in five minutes for all and in full (None leaves it out); and where its module is."""

    in_short: Sequence[str] | None
    in_full: Sequence[str]
    package: str = "bench"


BENCHMARKS = {
    "orchestration": Options((), ("--full",)),
    "slow_servers": Options((), ("--full",), "bench.mail"),
    "recovery": Options((), ("--full",)),
    "fairness": Options(("--runs", "7", "--contacts", "10000", "--instant", "40000", "--slow", "4000"), ()),
    "latency": Options(("--runs", "10"), ("--runs", "40")),
    "exports": Options(("--contacts", "100000", "--rounds", "2"), (), "bench.files"),
    "verify": Options(("--runs", "2"), ("--runs", "9")),
    "pacing": Options(("--rounds", "3"), (), "bench.mail"),
    "candidates": Options((), ()),
    "single_contacts": Options((), ()),
    "lookup": Options(None, ("--seed", "1")),
    "large_lists": Options(None, (), "bench.mail"),
    "tarpits": Options(None, ("--rounds", "3"), "bench.mail"),
    "hostile": Options(None, ()),
    "uploads": Options(None, (), "bench.files"),
    "large": Options(None, (), "bench.files"),
    "status": Options(None, ()),
    "scale": Options(None, ()),
    "readers": Options(None, (), "bench.files"),
}


def main() -> int:
    """Run those that are named, or all, and print the last line of each. Returns 1 if one of them failed."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--full", action="store_true")
    arguments.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME")
    given = arguments.parse_args()
    lines = {}
    for name in given.names or BENCHMARKS:
        options = BENCHMARKS[name].in_full if given.full else BENCHMARKS[name].in_short
        if options is None and given.names:
            options = BENCHMARKS[name].in_full
        if options is not None:
            lines[name] = _run(name, options)
    for name, line in lines.items():
        print(f"{name:16} {line or 'did not end well, see above'}")
    return int(not all(lines.values()))


def _run(name: str, options: Sequence[str]) -> str | None:
    """Run one, and return its line of JSON; None if it failed."""
    started = time.monotonic()
    print(f"\n── {name} {' '.join(options)}", flush=True)
    command = [sys.executable, "-m", f"{BENCHMARKS[name].package}.{name}", *options]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    print(f"{done.stdout}{name}: {time.monotonic() - started:.0f} s", flush=True)
    return done.stdout.splitlines()[-1] if done.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
