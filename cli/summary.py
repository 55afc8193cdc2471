"""Prints runs: a list of them, the summary of one, its timeline."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from cli.terminal import printable

WIDEST = 1000
FURTHER_COLUMNS = ("preset", "took", "verified", "found")
"""Columns of the list of runs that a narrow terminal is spared, in this order."""
DETAILS = {
    "chunk": "chunk {}",
    "pieces": "into {} pieces",
    "preset": "{}",
    "contacts": "{} contacts",
    "seconds": "for {} s",
    "step": "at {}",
    "fault": "{}",
    "code": "{}",
    "times": "{} in a row",
    "attempts": "attempt {}",
    "reason": "{}",
    "reasons": "{}",
    "retry": "as run {}",
    "retry_of": "goes on with run {}",
}
"""How the details of an event read, and in which order; others follow as name and value."""


def print_summary(console: Console, state: dict[str, Any]) -> None:
    """Print the status of a run and, once it is compiled, what it delivered."""
    progress = state["progress"]
    run_id, status, message = map(_cell, (state["run_id"], state["status"], progress["message"]))
    console.print(f"\nRun {run_id}: [bold]{status}[/bold], {progress['percent']}%. {message}")
    if state["preview"]:
        console.print(_table(state))


def print_runs(console: Console, runs: list[dict[str, Any]]) -> None:
    """Print runs as a table, newest first."""
    if not runs:
        console.print("No runs.")
        return
    rows = [_row(run) for run in runs]
    titles = list(rows[0])
    table = _runs_table(titles, rows)
    if not console.is_terminal:
        # Who reads a pipe or a file has lines as long as they are.
        console.width = max(console.width, _width(console, table))
    for spared in FURTHER_COLUMNS:
        if _width(console, table) <= console.width:
            break
        titles.remove(spared)
        table = _runs_table(titles, rows)
    console.print(table)


def _row(run: dict[str, Any]) -> dict[str, str]:
    """The cells of a run by their titles."""
    created = datetime.fromisoformat(run["created_at"])
    return {
        "run": run["run_id"],
        "status": run["status"],
        "%": str(run["percent"]),
        "contacts": _number(run["contacts"]),
        "found": _number(run["delivered_contacts"]),
        "verified": _number(run["verified_emails"]),
        "created": f"{created.astimezone():%Y-%m-%d %H:%M}",
        "took": _duration(created, run["finished_at"]),
        "preset": run["preset"],
    }


def _runs_table(titles: Sequence[str], rows: Sequence[dict[str, str]]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for title in titles:
        justify: JustifyMethod = "right" if title in ("%", "contacts", "found", "verified", "took") else "left"
        # Ids and states are not broken: users copy the one and look for the other.
        table.add_column(title, justify=justify, no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[title]) for title in titles))
    return table


def _width(console: Console, table: Table) -> int:
    """How wide a table is if nothing is broken."""
    options = console.options.update(max_width=WIDEST)
    return Measurement.get(console, options, table).maximum


def _cell(text: str) -> str:
    """A server's text, of which neither terminal nor table takes anything for a command."""
    return escape(printable(text))


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _duration(created: datetime, finished_at: str | None) -> str:
    """Such as `1:02:03`, or nothing for a run that goes on."""
    if finished_at is None:
        return ""
    return str(timedelta(seconds=round((datetime.fromisoformat(finished_at) - created).total_seconds())))


def print_timeline(console: Console, events: list[dict[str, Any]]) -> None:
    """Print each event of a run, with the seconds since the first one."""
    table = Table(box=None, padding=(0, 1))
    for title in ("seconds", "event", "stage", "worker", "detail"):
        justify: JustifyMethod = "right" if title == "seconds" else "left"
        # Ids are not cut off: users copy them.
        table.add_column(title, justify=justify, no_wrap=title != "detail", overflow="fold")
    began = datetime.fromisoformat(events[0]["at"])
    for event in events:
        seconds = (datetime.fromisoformat(event["at"]) - began).total_seconds()
        detail = ", ".join(_details(event["detail"]))
        texts = (event["kind"], event["stage"] or "", event["worker"] or "", detail)
        table.add_row(f"{seconds:.3f}", *map(_cell, texts))
    console.print(table)


def _details(detail: dict[str, Any]) -> Iterator[str]:
    for name in sorted(detail, key=lambda name: [*DETAILS, name].index(name)):
        value = detail[name]
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield DETAILS.get(name, f"{name.replace('_', ' ')} {{}}").format(shown)


def _table(state: dict[str, Any]) -> Table:
    counts, pricing, gaps = (
        state["preview"]["delivered_counts"],
        state["preview"]["pricing"],
        state["gap_report"],
    )
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_column(justify="left", no_wrap=True)
    table.add_column(justify="right")
    table.add_column(justify="left", overflow="fold")
    delivered, verified = counts["delivered_contacts"], counts["verified_emails"]
    table.add_row("[bold]Delivered[/bold]", str(delivered), "contacts with an address")
    table.add_row("  Verified", str(verified), "mail to the address would arrive")
    if delivered > verified:
        invalid = state["preview"].get("verdicts", {}).get("invalid", 0)
        table.add_row("  Not verified", str(delivered - verified), _how_to_use(delivered - verified, invalid))
    _add_reasons(table, gaps["unverified_reasons"], indent=4)
    table.add_row("[bold]Unresolved[/bold]", str(gaps["unresolved"]), "contacts without an address")
    _add_reasons(table, gaps["reasons"], indent=2)
    table.add_row(
        "[bold]Credits[/bold]",
        str(pricing["net_credits"]),
        f"{pricing['charged_credits']} charged, {pricing['rebate_credits']} given back",
    )
    return table


def _how_to_use(unverified: int, invalid: int) -> str:
    """What to do with addresses that are not verified, some of which are known to bounce."""
    if not invalid:
        return "use with care, for these reasons:"
    if invalid >= unverified:
        return "do not send: mail to them would bounce, for these reasons:"
    return f"do not send to the {invalid} that are invalid, and use the others with care, for these reasons:"


def _add_reasons(table: Table, reasons: dict[str, Any], indent: int) -> None:
    for reason, explained in reasons.items():
        words = _cell(explained["explanation"])
        table.add_row(f"{' ' * indent}{_cell(reason)}", str(explained["count"]), f"[dim]{words}[/dim]")
