"""Flower shows our tasks by name, with the run's id."""

import time
from typing import Any

import httpx

from cli.local.stack import Stack
from tests.integration.conftest import Client, Population


def tasks_of(stack: Stack, run_id: str) -> dict[str, Any]:
    tasks = httpx.get(f"{stack.flower_url}/api/tasks", params={"limit": 1000}, trust_env=False).json()
    return {task["name"]: task for task in tasks.values() if run_id in task["args"]}


def test_our_tasks_are_shown_by_name_with_the_runs_id(stack: Stack, client: Client, population: Population) -> None:
    run_id = client.create(population.hundred)
    client.finished(run_id)

    succeeded: set[str] = set()
    deadline = time.monotonic() + 20
    while not succeeded >= {"growth.email_lookup", "growth.email_verify", "growth.compile"}:
        assert time.monotonic() < deadline, f"Flower shows only {sorted(succeeded)}"
        time.sleep(0.1)
        succeeded = {name for name, task in tasks_of(stack, run_id).items() if task["state"] == "SUCCESS"}


def test_both_workers_are_shown(stack: Stack) -> None:
    workers = httpx.get(f"{stack.flower_url}/workers", params={"json": "1"}, trust_env=False).json()["data"]

    assert {worker["hostname"].partition("@")[0] for worker in workers} == {"worker-1", "worker-2"}
