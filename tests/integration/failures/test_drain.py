"""After SIGTERM a worker records its outcomes and releases its chunk, so that no lease has to expire."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cli.client import ApiClient
from cli.local.processes import EngineProcess, worker_command
from cli.local.stack import Ports, Stack, running_stack
from sandbox.domains import Behaviour, invent_domains
from sandbox.internet import Internet
from sandbox.people import Person, invent_people
from tests.integration.conftest import contacts_of

pytestmark = pytest.mark.proof

STOPS_WITHIN_S = 8.0


@pytest.fixture(scope="module")
def slow_people() -> Sequence[Person]:
    """People behind slow servers, so that a chunk task is busy for longer than a rolling restart takes."""
    domains = [domain for domain in invent_domains(31, 600) if domain.behaviour is Behaviour.SLOW]
    return invent_people(31, 12 * len(domains), domains)


@pytest.fixture(scope="module")
def slow_internet(slow_people: Sequence[Person]) -> Iterator[Internet]:
    domains = [domain for domain in invent_domains(31, 600) if domain.behaviour is Behaviour.SLOW]
    with Internet(slow_people, domains, slow_seconds=0.5) as running:
        yield running


@pytest.fixture
def slow_stack(slow_internet: Internet, servers_home: Path) -> Iterator[Stack]:
    settings = {**slow_internet.settings(), "CHUNK_SIZE": "40"}
    with running_stack(servers_home / "drain", Ports(0, 0), workers=2, processes=1, settings=settings) as running:
        yield running


def replace(stack: Stack, name: str, successor: str) -> tuple[EngineProcess, float]:
    """A rolling restart of a worker: its successor starts, then it gets SIGTERM and time to end."""
    (old,) = [process for process in stack.engine.processes if process.name == name]
    stack.engine.start(successor, *worker_command(successor, 1))
    stack.engine.processes.remove(old)
    started = time.monotonic()
    old.ask_to_stop()
    old.popen.wait(60)
    return old, time.monotonic() - started


def test_a_rolling_restart_under_load_loses_no_lease_and_no_work(
    slow_stack: Stack, slow_people: Sequence[Person]
) -> None:
    with ApiClient(slow_stack.credentials) as client:
        run_id = client.create_run(contacts_of(slow_people), "full_pipeline")
        slow_stack.engine.wait_until(lambda: client.read_run(run_id)["progress"]["percent"] > 0, "the run's start")

        stopped = [replace(slow_stack, "worker-1", "worker-3"), replace(slow_stack, "worker-2", "worker-4")]
        slow_stack.engine.wait_until(lambda: client.read_run(run_id)["status"] == "completed", "the run", seconds=90)
        events = client.read_events(run_id)

    assert [process.popen.returncode for process, _ in stopped] == [0, 0]
    assert max(seconds for _, seconds in stopped) < STOPS_WITHIN_S
    released = [event for event in events if event["kind"] == "chunk_released"]
    assert {event["detail"]["reason"] for event in released} == {"the worker stops"}
    # The first sweep finds no broker marker, and sends every active run once.
    resent = [event for event in events if event["kind"] == "resent" and "reason" not in event["detail"]]
    assert resent == []
    assert [event for event in events if event["kind"] == "lease_lost"] == []
