"""Watching a run: a progress bar per stage, until it is finished."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cli.client import ApiClient

POLL_SECONDS = 0.25
FINISHED = frozenset({"completed", "failed", "cancelled"})


def watch(client: ApiClient, run_id: str, console: Console, check: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Show a run's progress until it is finished; its final state. Raises `ApiError`.

    `check` is called between looks, and may raise when going on makes no sense.
    """
    columns = (
        TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[status]}"),
    )  # fmt: skip
    with Progress(*columns, console=console) as bars:
        rows: dict[str, TaskID] = {}
        while (state := client.read_run(run_id))["status"] not in FINISHED:
            _show(bars, rows, state)
            check()
            time.sleep(POLL_SECONDS)
        _show(bars, rows, state)
    return state


def _show(bars: Progress, rows: dict[str, TaskID], state: dict[str, Any]) -> None:
    for stage, count in state["progress"]["stages"].items():
        if stage not in rows:
            rows[stage] = bars.add_task(stage, total=count["total"], status="", start=False)
        if stage in state["stage_status"]:
            bars.start_task(rows[stage])
        status = state["stage_status"].get(stage, "waiting")
        bars.update(rows[stage], completed=count["done"], status=status)
        if status == "completed":
            bars.stop_task(rows[stage])
