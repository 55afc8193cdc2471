"""`growth account` and `growth ledger`, for operators: they need the database.

As in `cli.main`, modules that are slow to load are imported where they are used.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cli.client import ApiError
from cli.options import HOME, AsJson, Home
from cli.terminal import console, say, say_error, write_json

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from pipeline.ledger import Totals

account = typer.Typer(no_args_is_help=True, help="Accounts, their credits and their API keys.")
keys = typer.Typer(no_args_is_help=True, help="API keys of an account.")
ledger = typer.Typer(no_args_is_help=True, help="The ledger of credits.")
account.add_typer(keys, name="keys")

Who = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Its id, or its name.")]
MOST_CREDITS = 10**15
SHOWN = 20
"""Mistakes of the ledger that are printed."""


@account.command("create")
def create(
    name: str,
    credits_granted: Annotated[
        int, typer.Option("--credits", min=0, max=MOST_CREDITS, help="Credits to begin with.")
    ] = 0,
    home: Home = HOME,
    as_json: AsJson = False,
) -> None:
    """Open an account and print its API key, once."""
    from cli.accounts import create_account
    from cli.database import database_of_operator

    with database_of_operator(home) as database:
        created = create_account(database, name, credits_granted)
    if as_json:
        write_json({"id": str(created.account_id), "credits": credits_granted, "api_key": created.api_key})
        return
    say(f"Account {created.account_id}, {credits_granted} credits.")
    _say_key(created.api_key)


@account.command("list")
def show_accounts(home: Home = HOME, as_json: AsJson = False) -> None:
    """Show all accounts: status, balance, what their runs hold, and their keys."""
    from cli.accounts import list_accounts

    with _session(home) as session:
        shown = [each._asdict() for each in list_accounts(session)]
    if as_json:
        write_json([{**each, "id": str(each["id"]), "created_at": each["created_at"].isoformat()} for each in shown])
        return
    table = Table("account", "name", "status", "balance", "held", "keys", box=None, pad_edge=False)
    for each in shown:
        table.add_row(*(escape(str(each[name])) for name in ("id", "name", "status", "balance", "held", "keys")))
    console.print(table)


@account.command("top-up")
def add_credits(
    who: Who,
    credits_granted: Annotated[int, typer.Argument(metavar="CREDITS", min=1, max=MOST_CREDITS)],
    home: Home = HOME,
    as_json: AsJson = False,
) -> None:
    """Add credits to an account."""
    from cli.accounts import top_up

    with _session(home) as session:
        now = top_up(session, who, credits_granted)
    if as_json:
        write_json({"balance": now.balance, "held": now.held})
        return
    say(f"{credits_granted} credits were added: the balance is {now.balance}, and runs hold {now.held}.")


@account.command("suspend")
def suspend(who: Who, home: Home = HOME) -> None:
    """Refuse all requests of an account until it is resumed. Its runs go on."""
    from cli.accounts import change_status
    from models.status import SubscriptionStatus

    with _session(home) as session:
        change_status(session, who, SubscriptionStatus.ACTIVE, SubscriptionStatus.SUSPENDED)
    say("The account is suspended: its requests are refused, and its runs go on.")


@account.command("resume")
def resume(who: Who, home: Home = HOME) -> None:
    """Serve a suspended account again."""
    from cli.accounts import change_status
    from models.status import SubscriptionStatus

    with _session(home) as session:
        change_status(session, who, SubscriptionStatus.SUSPENDED, SubscriptionStatus.ACTIVE)
    say("The account is active.")


@account.command("operator")
def make_operator(
    who: Who,
    is_off: Annotated[bool, typer.Option("--off", help="Take the role away.")] = False,
    home: Home = HOME,
) -> None:
    """Let an account see the work of all accounts on the page: runs, workers and mail hosts, and no contacts."""
    from cli.accounts import set_operator

    with _session(home) as session:
        set_operator(session, who, is_operator=not is_off)
    say("The account is no operator any more." if is_off else "The account is an operator: its page shows all runs.")


@keys.command("list")
def show_keys(who: Who, home: Home = HOME, as_json: AsJson = False) -> None:
    """Show the keys of an account by their ids; only hashes of the keys are stored."""
    from cli.accounts import list_keys

    with _session(home) as session:
        shown = [(key.id, key.created_at, key.revoked_at) for key in list_keys(session, who)]
    if as_json:
        dated = [(str(key_id), made.isoformat(), gone and gone.isoformat()) for key_id, made, gone in shown]
        write_json([dict(zip(("id", "created_at", "revoked_at"), each, strict=True)) for each in dated])
        return
    table = Table("key", "created", "revoked", box=None, pad_edge=False)
    for key_id, made, gone in shown:
        table.add_row(str(key_id), f"{made:%Y-%m-%d %H:%M}", f"{gone:%Y-%m-%d %H:%M}" if gone else "")
    console.print(table)


@keys.command("create")
def add_key(who: Who, home: Home = HOME, as_json: AsJson = False) -> None:
    """Give an account one more key, and print it, once."""
    from cli.accounts import create_key

    with _session(home) as session:
        key = create_key(session, who)
    if as_json:
        write_json({"api_key": key})
    else:
        _say_key(key)


@keys.command("revoke")
def remove_key(
    key_id: Annotated[str, typer.Argument(help="The id of the key, as `growth account keys list` shows it.")],
    home: Home = HOME,
) -> None:
    """Make a key void at once. This can't be undone."""
    from cli.accounts import revoke_key

    with _session(home) as session:
        was_valid = revoke_key(session, key_id)
    say("The key is revoked." if was_valid else "The key was revoked before.")


@ledger.callback()
def of_ledger() -> None:
    """The ledger of credits."""


@ledger.command("check")
def check(home: Home = HOME, as_json: AsJson = False) -> None:
    """Prove that all sums of the ledger agree. Exit code 1 if one does not."""
    from pipeline.ledger import prove

    with _session(home) as session:
        proof = prove(session)
    if as_json:
        cost = str(proof.totals.provider_cost)
        write_json({"totals": {**proof.totals._asdict(), "provider_cost": cost}, "mistakes": list(proof.mistakes)})
        raise typer.Exit(1 if proof.mistakes else 0)
    _say_totals(proof.totals)
    for mistake in proof.mistakes[:SHOWN]:
        say_error(f"{mistake}.")
    if proof.mistakes:
        say_error(f"Sums that do not agree: {len(proof.mistakes)}. Report them, and change nothing by hand.")
        raise typer.Exit(1)
    say("All sums agree.")


@contextmanager
def _session(home: Path) -> Iterator["Session"]:
    """A transaction on the operator's database. Expected errors end the command with their sentence."""
    from cli.database import database_of_operator
    from pipeline.errors import GrowthError

    with database_of_operator(home) as database:
        try:
            with database.transaction() as session:
                yield session
        except GrowthError as error:
            raise ApiError(str(error)) from error


def _say_key(key: str) -> None:
    say(f"API key (shown this once, keep it safe): {key}")


def _say_totals(totals: "Totals") -> None:
    say(
        f"{totals.entries} entries: {-totals.issued} credits were issued. Accounts have {totals.accounts}, runs hold "
        f"{totals.held}, {totals.revenue} are earned. Providers cost {totals.provider_cost.normalize():f}."
    )
