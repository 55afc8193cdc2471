"""What a connection slot costs: one shared by all workers through Redis, and one of a process alone.

On a real Valkey, in two shapes. 2,000 slots for 200 conversations over 100 mail hosts, none of which waits: processor
time of the worker and of Valkey, and wall time, in microseconds a slot. And 400 sessions of 20 ms at one host that
allows 4 at once, in two processes: the time of each turn beyond 20 ms / 4. Ends in one line of JSON.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from redis.asyncio import Redis

from bench.reporting.results import publish
from bench.reporting.turns import Table
from cli.local.embedded import embedded_valkey
from pipeline.mail.pacing.in_process import ProcessPacing
from pipeline.mail.pacing.slots import Pacing, PacingLimits, Place
from worker.pacing.shared import SharedPacing

LIMITS = PacingLimits(connections_per_host=4, connections_per_provider=40, recipients_per_second=1_000_000)
MANY_HOSTS = [Place(f"192.0.2.{number}", f"provider{number}.example") for number in range(100)]
ONE_HOST = [Place("198.51.100.1", "busy.example")]
SESSION = 0.02
SHARED, OWN = "shared, through Redis", "of one process"
COLUMNS = {"wall_us": "a slot: µs", "worker_us": "of the worker: CPU µs", "valkey_us": "of Valkey: CPU µs"}
TURN = "a turn at a busy host, beyond the session: µs"


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5)
    rounds = arguments.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="growth-bench-") as home, embedded_valkey(Path(home)) as url:
        table = Table()
        for _ in range(rounds):
            asyncio.run(_measure(url, table))
    figures = {
        **{f"shared_{name}": round(table.median(SHARED, column) or 0, 1) for name, column in COLUMNS.items()},
        "own_worker_us": round(table.median(OWN, COLUMNS["worker_us"]) or 0, 1),
        "turn_beyond_session_us": round(table.median(SHARED, TURN) or 0, 1),
    }
    publish("pacing", "What a connection slot costs", table, figures, {"rounds": rounds})


async def _measure(url: str, table: Table) -> None:
    client = Redis.from_url(url)
    try:
        for row, pacing in ((SHARED, SharedPacing(url, LIMITS, 400)), (OWN, ProcessPacing(LIMITS, 400))):
            for name, microseconds in (await _without_waiting(pacing, client)).items():
                table.add(row, COLUMNS[name], [microseconds])
        table.add(SHARED, TURN, [await _with_waiting([SharedPacing(url, LIMITS, 400) for _ in range(2)])])
    finally:
        await client.aclose()


async def _without_waiting(pacing: Pacing, client: Redis) -> dict[str, float]:
    pacing.release(await pacing.acquire(MANY_HOSTS[0]), 0)  # connects, loads the scripts
    wall, worker, server = time.perf_counter(), time.process_time(), await _processor_seconds(client)
    await asyncio.gather(*(_sessions(pacing, MANY_HOSTS[n % 100], count=10) for n in range(200)))
    await pacing.flush()
    spent = {
        "wall_us": time.perf_counter() - wall,
        "worker_us": time.process_time() - worker,
        "valkey_us": await _processor_seconds(client) - server,
    }
    await pacing.close()
    return {name: round(seconds / 2000 * 1e6, 1) for name, seconds in spent.items()}


async def _with_waiting(processes: Sequence[Pacing]) -> float:
    started = time.perf_counter()
    await asyncio.gather(
        *(_sessions(pacing, ONE_HOST[0], count=4, seconds=SESSION) for pacing in processes for _ in range(50))
    )
    turn = (time.perf_counter() - started) / 400
    for pacing in processes:
        await pacing.close()
    return round((turn - SESSION / LIMITS.connections_per_host) * 1e6, 1)


async def _sessions(pacing: Pacing, place: Place, count: int, seconds: float = 0) -> None:
    for _ in range(count):
        slot = await pacing.acquire(place)
        await asyncio.sleep(seconds)
        pacing.release(slot, 1)


async def _processor_seconds(client: Redis) -> float:
    used = await client.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


if __name__ == "__main__":
    main()
