"""The file of a result, `bench/results/NAME.json`, with its picture; and what is printed."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Printed

from bench.reporting.machine import origin
from bench.reporting.picture import draw, written
from bench.reporting.turns import Table

RESULTS = Path(__file__).resolve().parents[1] / "results"
ELSEWHERE = "BENCH_RESULTS"
"""The environment variable that names another folder for results: for a try, whose figures nobody should quote."""


def publish(
    name: str, title: str, table: Table, figures: Mapping[str, Any], options: Mapping[str, Any] | None = None
) -> None:
    """Print the table, keep the result, and print its figures as one line of JSON."""
    _print(title, table)
    keep(name, title, {**origin(), "options": options or {}, "figures": figures, "table": table.to_json()})
    (folder() / f"{name}.svg").write_text(draw(title, table))
    print(json.dumps(figures))


def keep(name: str, title: str, result: Mapping[str, Any]) -> None:
    """Write the file of a result."""
    folder().mkdir(parents=True, exist_ok=True)
    text = json.dumps({"benchmark": name, "title": title, **result}, indent=1, ensure_ascii=False)
    (folder() / f"{name}.json").write_text(f"{text}\n")


def folder() -> Path:
    """Where results are kept."""
    return Path(os.environ[ELSEWHERE]) if os.environ.get(ELSEWHERE) else RESULTS


def _print(title: str, table: Table) -> None:
    printed = Printed()
    printed.add_column("", no_wrap=True)
    for column in table.columns:
        printed.add_column(column, justify="right")
    for row in table.rows:
        spreads = (table.spread(row, column) for column in table.columns)
        printed.add_row(row, *(written(spread) if spread else "–" for spread in spreads))
    console = Console(width=None if os.isatty(1) else 180)
    console.print(f"\n[bold]{title}[/bold]", printed, sep="\n")
