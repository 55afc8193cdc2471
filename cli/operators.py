"""`growth ledger`, for operators: it needs the database.

As in `cli.main`, modules that are slow to load are imported where they are used.
"""

from typing import TYPE_CHECKING

import typer

from cli.options import HOME, Home
from cli.terminal import say, say_error

if TYPE_CHECKING:
    from pipeline.ledger import Totals

ledger = typer.Typer(no_args_is_help=True, help="The ledger of credits.")

SHOWN = 20


@ledger.callback()
def of_ledger() -> None:
    """The ledger of credits."""


@ledger.command("check")
def check(home: Home = HOME) -> None:
    """Prove that all sums of the ledger agree. Exit code 1 if one does not."""
    from cli.database import database_of_operator
    from pipeline.ledger import prove

    with database_of_operator(home) as database, database.transaction() as session:
        proof = prove(session)
    _say_totals(proof.totals)
    for mistake in proof.mistakes[:SHOWN]:
        say_error(f"{mistake}.")
    if proof.mistakes:
        say_error(f"Sums that do not agree: {len(proof.mistakes)}. Report them, and change nothing by hand.")
        raise typer.Exit(1)
    say("All sums agree.")


def _say_totals(totals: "Totals") -> None:
    say(
        f"{totals.entries} entries: {-totals.issued} credits were issued. Accounts have {totals.accounts}, runs hold "
        f"{totals.held}, {totals.revenue} are earned. Providers cost {totals.provider_cost.normalize():f}."
    )
