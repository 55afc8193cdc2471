"""`growth runs`: lists and timelines, and export files that could not be written.

As in `cli.main`, modules that are slow to load are imported where they are used.
"""

from datetime import datetime
from typing import Annotated, Literal

import typer

from cli.client import ApiClient, ApiError, find_credentials, parse_run_id
from cli.options import HOME, AsJson, Home, Preset
from cli.summary import print_runs, print_timeline
from cli.terminal import console, say, write_json

runs = typer.Typer(no_args_is_help=True, help="Lists, timelines and exports of runs.")


def _time_of(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("give a day or a time, such as 2026-11-30 or 2026-11-30T08:00.") from None


Status = Literal["pending", "running", "completed", "failed", "cancelled"]


@runs.command("list")
def list_runs(
    home: Home = HOME,
    status: Annotated[Status | None, typer.Option(help="Only runs in this state.")] = None,
    preset: Annotated[Preset | None, typer.Option(help="Only runs of this preset.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=_time_of, metavar="TIME", help="Only runs created then or later; local time, such as 2026-11-30."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    given = {"status": status, "preset": preset, "since": since.astimezone().isoformat() if since else None}
    wanted = {name: value for name, value in given.items() if value}
    with ApiClient(find_credentials(home)) as client:
        found = client.list_runs(limit, **wanted)
    if as_json:
        write_json(found)
    else:
        print_runs(console, found)


@runs.command("timeline")
@runs.command("show", hidden=True, deprecated=True)
def timeline(run_id: str, home: Home = HOME, as_json: AsJson = False) -> None:
    """Print a run's timeline: every transition, lease, lost lease, resend and deferral."""
    with ApiClient(find_credentials(home)) as client:
        events = client.read_events(run_id)
    if as_json:
        write_json(events)
    else:
        print_timeline(console, events)


@runs.command("export")
def export_again(run_id: str, home: Home = HOME) -> None:
    """Have failed exports written again. For operators: it needs the database."""
    from cli.database import database_of_operator
    from pipeline.errors import GrowthError
    from pipeline.results.export_lease import request_exports

    with database_of_operator(home) as database:
        try:
            with database.transaction() as session:
                request_exports(session, parse_run_id(run_id))
        except GrowthError as error:
            raise ApiError(str(error)) from error
    say(f"A worker writes them within seconds; what comes of it: growth runs timeline {run_id}")
