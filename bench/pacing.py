"""What a connection slot costs: shared by all workers through Redis, beside one process's own.

2,000 slots are taken and given back on a real Valkey, in two shapes: 200 conversations over 100 mail hosts, where
nobody waits, and two processes' worth of 50 conversations at one host, where all wait. Ends in one line of JSON, in
microseconds a slot (and in wall time a slot where all wait: sessions of nothing, so it is the turn's own cost).
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from cli.embedded import embedded_valkey
from pipeline.mail.pacing import Pacing, PacingLimits, Place
from pipeline.mail.process_pacing import ProcessPacing
from worker.pacing.shared import SharedPacing

SLOTS = 2000
LIMITS = PacingLimits(connections_per_host=4, connections_per_provider=40, recipients_per_second=1_000_000)
MANY_HOSTS = [Place(f"192.0.2.{number}", f"provider{number}.example") for number in range(100)]
ONE_HOST = [Place("198.51.100.1", "busy.example")]


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory(prefix="growth-bench-") as home, embedded_valkey(Path(home)) as url:
        print(json.dumps(asyncio.run(_measure(url))))


async def _measure(url: str) -> dict[str, float]:
    figures = {}
    for name, places, conversations, processes in (("nobody_waits", MANY_HOSTS, 200, 1), ("all_wait", ONE_HOST, 50, 2)):
        shared = [SharedPacing(url, LIMITS, 400) for _ in range(processes)]
        own = [ProcessPacing(LIMITS, 400)]
        figures[f"{name}_shared_us"] = await _microseconds_a_slot(shared, places, conversations)
        figures[f"{name}_own_us"] = await _microseconds_a_slot(own, places, conversations)
    return figures


async def _microseconds_a_slot(processes: Sequence[Pacing], places: Sequence[Place], conversations: int) -> float:
    for pacing in processes:
        pacing.give_back(await pacing.take(places[0]), 0)  # connects, loads the scripts
    each = SLOTS // conversations // len(processes)
    started = time.perf_counter()
    await asyncio.gather(
        *(
            _conversation(pacing, places[number % len(places)], each)
            for pacing in processes
            for number in range(conversations)
        )
    )
    elapsed = time.perf_counter() - started
    for pacing in processes:
        await pacing.close()
    return round(elapsed * 1e6 / (each * conversations * len(processes)), 1)


async def _conversation(pacing: Pacing, place: Place, sessions: int) -> None:
    for _ in range(sessions):
        slot = await pacing.take(place)
        pacing.give_back(slot, 1)


if __name__ == "__main__":
    main()
