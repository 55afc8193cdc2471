"""Flower shows our tasks by name, with the run's id."""

import time
from typing import Any

import httpx
import pytest

from cli.local.stack import Stack
from tests.integration.conftest import Client, Population

DEADLINE_S = 20


def asked(stack: Stack, path: str) -> Any:
    return httpx.get(f"{stack.flower_url}{path}", trust_env=False).json()


def workers_of(stack: Stack) -> set[str]:
    return {worker["hostname"].partition("@")[0] for worker in asked(stack, "/workers?json=1")["data"]}


def names_of_succeeded_tasks(stack: Stack, run_id: str) -> set[str]:
    tasks = asked(stack, "/api/tasks?limit=1000").values()
    return {task["name"] for task in tasks if run_id in task["args"] and task["state"] == "SUCCESS"}


@pytest.fixture
def listening(stack: Stack) -> Stack:
    """Flower hears events since it subscribed, not those before; it knows a worker by the heartbeats it heard."""
    deadline = time.monotonic() + DEADLINE_S
    while (workers := workers_of(stack)) != {"worker-1", "worker-2"}:
        assert time.monotonic() < deadline, f"Flower shows only {sorted(workers)}"
        time.sleep(0.1)
    return stack


def test_our_tasks_are_shown_by_name_with_the_runs_id(listening: Stack, client: Client, population: Population) -> None:
    run_id = client.create(population.hundred)
    client.finished(run_id)

    succeeded: set[str] = set()
    deadline = time.monotonic() + DEADLINE_S
    while not succeeded >= {"growth.email_lookup", "growth.email_verify", "growth.compile"}:
        assert time.monotonic() < deadline, f"Flower shows only {sorted(succeeded)}"
        time.sleep(0.1)
        succeeded = names_of_succeeded_tasks(listening, run_id)


def test_both_workers_are_shown(listening: Stack) -> None:
    assert workers_of(listening) == {"worker-1", "worker-2"}
