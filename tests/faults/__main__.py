"""The longer fault suite: `python -m tests.faults --rounds N --seed S`.

Each round is one run under one to three random faults. The seed and the number of the round determine them:
`--seed S --first R --rounds 1` repeats round R. With `--alone` each fault has a round of its own. The last line of
the output is JSON, and the exit status is 1 after a violation. `faults` counts the injected faults: the last one of a
plan may come after the end of its run.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import SubprocessError
from types import FrameType

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from cli.client import ApiError
from models.postgres_errors import PostgresUnavailable
from tests.faults.bounds import AT_THE_END, faults_on, is_possible
from tests.faults.engine import Broker, FaultEngine, Route, running_fault_engine
from tests.faults.invariants import Verdict
from tests.faults.rounds import STRIKE_AT_PERCENT, Plan, play

MOST_FAULTS = 3
EARLIEST_PERCENT, LATEST_PERCENT = 10, 60


def main() -> int:
    """Play the rounds. Returns the exit status."""
    options = _options()
    signal.signal(signal.SIGTERM, _end)
    print_line(f"seed {options.seed}")
    with (
        tempfile.TemporaryDirectory(prefix="growth-faults-", ignore_cleanup_errors=True) as home,
        running_fault_engine(Path(home), options.broker, options.route) as engine,
    ):
        verdicts = list(_play_all(engine, options))
    summary = {
        "rounds": len(verdicts),
        "violations": sum(len(verdict.violations) for verdict in verdicts),
        "max_resume_s": round(max((verdict.resume_s for verdict in verdicts), default=0.0), 1),
        "max_since_checkpoint_s": round(max((verdict.since_checkpoint_s for verdict in verdicts), default=0.0), 1),
        "faults": sum(len(verdict.injected) for verdict in verdicts),
        "seed": options.seed,
    }
    print_line(json.dumps(summary))
    return 1 if summary["violations"] else 0


def draw_plan(seed: int, number: int, outage_seconds: float, broker: Broker, route: Route) -> Plan:
    """The plan of a round: always the same for a seed, number, broker and route."""
    rng = random.Random(f"{seed} {number}")  # noqa: S311 - must be repeatable
    faults = rng.sample(faults_on(broker, route), rng.randint(1, MOST_FAULTS))
    faults.sort(key=lambda fault: fault in AT_THE_END)
    percents = sorted(rng.randint(EARLIEST_PERCENT, LATEST_PERCENT) for _ in faults)
    return Plan(
        # Faults that this machine can't inject are left out. The rest of the plan stays the same.
        {fault: percent for fault, percent in zip(faults, percents, strict=True) if is_possible(fault)},
        outage_seconds,
        hostile=rng.random() < 0.25,
        creator_dies=rng.random() < 0.1,
    )


def each_alone(outage_seconds: float, broker: Broker, route: Route) -> Iterator[Plan]:
    """A plan for each fault that is possible on this machine."""
    yield Plan({}, outage_seconds, creator_dies=True)
    yield Plan({}, outage_seconds, hostile=True)
    for fault in filter(is_possible, faults_on(broker, route)):
        yield Plan({fault: STRIKE_AT_PERCENT}, outage_seconds)


def print_line(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _play_all(engine: FaultEngine, options: argparse.Namespace) -> Iterator[Verdict]:
    for number, plan in enumerate(_plans(options), start=options.first):
        started = time.monotonic()
        try:
            verdict = play(engine, plan)
        except (TimeoutError, ApiError, SubprocessError, PostgresUnavailable, SQLAlchemyError, RedisError) as error:
            # A violation in one round does not end the others.
            verdict = Verdict(None, (f"{type(error).__name__}: {error}",), (), 0.0, 0.0, 0)
        result = "ok" if not verdict.violations else f"VIOLATED, seed {options.seed}: {'; '.join(verdict.violations)}"
        print_line(
            f"round {number}: {plan}: {len(verdict.injected)} injected, recovered after {verdict.resume_s:.1f} s, "
            f"leased again {verdict.leased_again}, took {time.monotonic() - started:.0f} s: {result}"
        )
        yield verdict


def _plans(options: argparse.Namespace) -> Iterator[Plan]:
    if options.alone:
        return each_alone(options.outage, options.broker, options.route)
    numbers = range(options.first, options.first + options.rounds)
    return (draw_plan(options.seed, number, options.outage, options.broker, options.route) for number in numbers)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Runs under random faults.")
    parser.add_argument("--rounds", type=int, default=20, help="how many runs")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="repeats a sequence")
    parser.add_argument("--first", type=int, default=1, help="the number of the first round, to repeat one")
    parser.add_argument("--alone", action="store_true", help="a round for each fault, instead of random ones")
    parser.add_argument("--outage", type=float, default=20, help="how long servers are unavailable, in seconds")
    parser.add_argument("--broker", choices=["redis", "rabbitmq"], default="redis", help="the broker to use")
    parser.add_argument(
        "--route", choices=["direct", "pgbouncer"], default="direct", help="how the engine connects to Postgres"
    )
    return parser.parse_args()


def _end(_signal: int, _frame: FrameType | None) -> None:
    """End on SIGTERM as on an exception, so that everything that was started is stopped."""
    sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
