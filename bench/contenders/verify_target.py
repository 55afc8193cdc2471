"""What the rows of `verify.py` are given, and how each is measured. The peers' Python imports it, too."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

THREADS = 50
CONVERSATIONS = 200
SENDER = "bench@sender.test"
HELO = "client.test"


@dataclass(frozen=True)
class Target:
    """The servers to use, and how many addresses of how many domains to verify."""

    smtp_port: int
    dns_port: int
    domains: int
    each: int

    @property
    def by_domain(self) -> list[tuple[str, list[str]]]:
        """The domains with their addresses."""
        names = [domain_name(number) for number in range(self.domains)]
        return [(name, [f"person{number}@{name}" for number in range(self.each)]) for name in names]

    @property
    def addresses(self) -> list[str]:
        """All addresses."""
        return [address for _, addresses in self.by_domain for address in addresses]


@dataclass(frozen=True)
class Measured:
    """The time that a row took, and for how many addresses it got an answer."""

    addresses: int
    seconds: float
    cpu_seconds: float


def domain_name(number: int) -> str:
    """The name of a domain."""
    return f"company{number}.test"


def mail_host(number: int) -> tuple[str, str]:
    """The name and address of a mail host."""
    return f"mx{number}.test", f"127.80.{number // 250}.{number % 250 + 1}"


def in_threads(check: Callable[[str], int], addresses: list[str]) -> int:
    """Check all addresses, THREADS at once."""
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(check, addresses))


def measure_row(rows: Mapping[str, Callable[[Target], int]]) -> None:
    """Measure the row and target of the command line once, warm, and print one line of JSON.

    Imports and first calls are not counted. Exits with an error if an address got no answer.
    """
    row, target = rows[sys.argv[1]], Target(**json.loads(sys.argv[2]))
    row(Target(target.smtp_port, target.dns_port, domains=1, each=50))
    started, cpu_started = time.perf_counter(), time.process_time()
    answered = row(target)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    if answered != target.domains * target.each:
        raise SystemExit(f"{sys.argv[1]}: only {answered} of {target.domains * target.each} addresses got an answer.")
    print(json.dumps(asdict(Measured(answered, seconds, cpu_seconds))))
