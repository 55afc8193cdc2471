"""`growth runs`: timelines, and export files that could not be written.

As in `cli.main`, modules that are slow to load are imported where they are used.
"""

import typer

from cli.client import ApiClient, ApiError, find_credentials, parse_run_id
from cli.options import HOME, Home
from cli.summary import print_timeline
from cli.terminal import console

runs = typer.Typer(no_args_is_help=True, help="Timelines and exports of runs.")


@runs.command("show")
def show(run_id: str, home: Home = HOME) -> None:
    """Print a run's timeline: every transition, lease, lost lease, resend and deferral."""
    with ApiClient(find_credentials(home)) as client:
        print_timeline(console, client.read_events(run_id))


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
    console.print(f"A worker writes them within seconds; what comes of it: growth runs show {run_id}", soft_wrap=True)
