"""The `growth` command."""

# Imports that only some commands need are in these commands: libraries for databases and mail take a second to load,
# and `growth status` needs neither.

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from uuid import uuid4

import typer
from rich.console import Console

from cli.client import ApiAway, ApiClient, ApiError, find_credentials
from cli.commands.credits import show_credits
from cli.commands.hooks import hooks
from cli.commands.operators import account, ledger
from cli.commands.runs import runs
from cli.commands.suppressions import erase, suppressions
from cli.downloads import OWN_ROWS, STDOUT, name_of, save_export, wait_for_export
from cli.exit_codes import run_to_its_end
from cli.options import HOME, AsJson, Home, Preset, show_flags_without_type
from cli.summary import print_summary
from cli.terminal import console, errors, say, write_json, write_text
from cli.verify.verdict_format import Shown, VerdictFormat
from cli.watching import Patience, going_on_with, watch
from pipeline.errors import UnusableFile
from pipeline.lookup.patterns.priors import Size

if TYPE_CHECKING:
    from cli.submission import Reading

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Find and verify work email addresses.",
)
app.add_typer(account, name="account")
app.add_typer(ledger, name="ledger")
app.add_typer(runs, name="runs")
app.add_typer(hooks, name="hooks")
app.add_typer(suppressions, name="suppressions")


def _say_version(wanted: bool) -> None:  # noqa: FBT001 - Typer passes it so
    if wanted:
        from importlib.metadata import version

        say(f"growth {version('growth-engine')}")
        raise typer.Exit


@app.callback()
def anywhere(
    home: Annotated[
        Path | None, typer.Option(help="The folder of `growth up` and its data; for every command.")
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Say which release this is.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Find and verify work email addresses, on this machine or over an API."""
    if home is not None:
        os.environ["GROWTH_HOME"] = str(home)


@app.command()
def up(
    home: Home = HOME,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="The API's port, 0 for any.", show_default="8000 if it is free")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many workers to start.")] = 1,
    sandbox: Annotated[
        bool,
        typer.Option("--sandbox", help="Use a small internet on loopback, and write made-up contacts to try it on."),
    ] = False,
) -> None:
    """Start everything on this machine, until Ctrl-C."""
    from cli.local.up import run_up

    run_up(console, home, port, workers, with_sandbox=sandbox)


@app.command()
def demo(
    home: Home = HOME,
    contacts: Annotated[int, typer.Option(min=1, help="How many contacts to invent.")] = 1000,
    seed: Annotated[int, typer.Option(help="A different seed gives different contacts.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
) -> None:
    """Run made-up contacts on real servers and compare the results with the truth."""
    from cli.local.demo import run_demo  # needs the optional libraries of the sandbox

    run_demo(console, home / "demo", contacts, seed, keep=keep)


@app.command()
def submit(
    contacts: Annotated[Path, typer.Argument(help="A file of contacts: names with domain or company; or email.")],
    home: Home = HOME,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", help='Which column a field is: domain="Company Domain Name". Repeatable.'),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="The file's encoding, such as cp1250, where it can't be told.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show how the file is read, and send nothing.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Send nothing if any row can't be used.")] = False,
    rejected: Annotated[
        Path | None,
        typer.Option(help="Where rows that can't be used go.", show_default="FILE.rejected.csv beside the file"),
    ] = None,
    preset: Annotated[
        Preset, typer.Option(help="Find and verify addresses, or verify the given ones.")
    ] = "full_pipeline",
    preview_rows: Annotated[int, typer.Option(min=0, max=100, help="How many contacts to include in the status.")] = 0,
    idempotency_key: Annotated[str | None, typer.Option(help="Repeating a key returns the first run.")] = None,
    watching: Annotated[bool, typer.Option("--watch", help="Show progress until the run is finished.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create a run from a file of contacts, and show first how it was read.

    CSV of any kind, NDJSON, XLSX, Parquet. Rows that can't be used go into a file of their own and cost nothing.
    """
    from cli.submission import (
        HoldsMore,
        Reading,
        check_dry_run,
        collect,
        dry_run_of,
        open_submission,
        parse_mapping,
        read_to_the_end,
        rejects_beside,
        say_counts,
        say_dry_run,
        say_how_it_is_read,
    )
    from cli.submitted import remember
    from cli.uploading import is_large

    reading = Reading(preset, parse_mapping(mapping or []), encoding)
    aside = None if strict else rejected or rejects_beside(contacts)
    # With a key, repeating the request after a lost response returns the same run.
    key = str(uuid4()) if idempotency_key is None else idempotency_key

    def submit_large() -> None:
        queued = _submit_large(contacts, reading, aside, home, preview_rows, key)
        _follow(queued, home, watching=watching, as_json=as_json)

    if is_large(contacts) and not dry_run:
        submit_large()
        return
    reader = open_submission(contacts, reading)
    say_how_it_is_read(reader)
    if "company" in reader.columns.fields:
        reader.knows_companies = _takes_companies(home, preset)
        reading = replace(reading, knows_companies=reader.knows_companies)
    if dry_run:
        found = read_to_the_end(reader)
        say_counts(reader, None)
        if as_json:
            write_json(dry_run_of(reader))
        else:
            say_dry_run(reader, found)
        check_dry_run(reader, strict=strict)
        return
    try:
        # A pipe can't be read again, which an upload would have to.
        to_send = collect(reader, aside, all_of_them=not contacts.is_file())
    except HoldsMore:
        say("It holds more than one request takes: it is uploaded.", to=errors)
        submit_large()
        return
    say_counts(reader, aside)
    again = f"The same command with `--idempotency-key {key}` gives this run, if it was created."

    def create_run(client: ApiClient) -> str:
        return client.create_run(to_send, preset, preview_rows, key)

    with ApiClient(find_credentials(home)) as client:
        try:
            with going_on_with(f"Stopped. {again}"):
                run_id = Patience(errors)(lambda: create_run(client)) if watching else create_run(client)
        except ApiAway as away:
            raise ApiError(f"{away} {again}", away.status) from away
        remember(home, run_id, contacts, reading)
    _follow(_Queued(run_id, len(to_send)), home, watching=watching, as_json=as_json)


@app.command()
def status(
    run_id: str,
    home: Home = HOME,
    as_json: AsJson = False,
    watching: Annotated[bool, typer.Option("--watch", help="Show progress until the run is finished.")] = False,
) -> None:
    """Show the state of a run. With --watch, exit code 1 unless it is completed."""
    with ApiClient(find_credentials(home)) as client:
        state = _watched(client, run_id, home, errors) if watching else client.read_run(run_id)
    _show(state, as_json=as_json)
    if watching:
        _end_as(state)


@app.command()
def cancel(run_id: str, home: Home = HOME, as_json: AsJson = False) -> None:
    """Stop a run. Results so far are kept, the rest is refunded."""
    with ApiClient(find_credentials(home)) as client:
        _show(client.cancel_run(run_id), as_json=as_json)


@app.command()
def retry(
    run_id: str,
    home: Home = HOME,
    watching: Annotated[bool, typer.Option("--watch", help="Show progress until the run is finished.")] = False,
    as_json: AsJson = False,
) -> None:
    """Continue a failed or cancelled run, as a new run."""
    shown_on = errors if as_json else console
    with ApiClient(find_credentials(home)) as client:
        # Retrying twice returns the same new run.
        new_id = Patience(errors)(lambda: client.retry_run(run_id)) if watching else client.retry_run(run_id)
        say(f"Run {new_id} goes on where {run_id} stopped.", to=shown_on)
        if not watching:
            say(f"Follow it with: {_following(new_id, home)}", to=shown_on)
            if as_json:
                write_json({"run_id": new_id})
            return
        state = _watched(client, new_id, home, shown_on)
    _show(state, as_json=as_json)
    _end_as(state)


@app.command()
def export(
    run_id: str,
    home: Home = HOME,
    export_format: Annotated[
        str, typer.Option("--format", help="csv, json, ndjson, xlsx, parquet, excel, excel_de ...")
    ] = "csv",
    output: Annotated[
        Path | None, typer.Option(help="The file to write, - for stdout; RUN.csv, or as the format is, if not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Download the results of a finished run; as CSV behind the rows of the file that was submitted from here."""
    path = output or Path(name_of(run_id, export_format))
    if as_json and path in STDOUT:
        raise typer.BadParameter("give --output a file: with --json, stdout has JSON only.")
    with ApiClient(find_credentials(home)) as client:
        handle = wait_for_export(client, run_id, export_format)
        rows = _saved_rows(client, run_id, handle, path, home)
    say(rows, to=errors if as_json or path in STDOUT else console)
    if as_json:
        write_json({"path": str(path), "rows": handle["rows"], "asset_id": handle["asset_id"]})


@app.command("candidates")
def show_candidates(
    name: Annotated[str, typer.Argument(help='As people write it: "Zoë van der Berg", "Hopper, Grace", "김민준".')],
    domain: Annotated[str, typer.Argument(help="The company's domain; its country counts too.")],
    known: Annotated[
        list[str] | None, typer.Option(help="Known pattern of the domain, as pattern=count. Repeatable.")
    ] = None,
    size: Annotated[Size, typer.Option(help="Size of the company.")] = Size.UNKNOWN,
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rank the addresses that a person may have. Asks no server."""
    from cli.commands.candidates import print_candidates, rank_candidates

    ranked = rank_candidates(name, domain, known or (), size, limit)
    print_candidates(console, ranked, as_json=as_json)


@app.command()
def verify(
    addresses: Annotated[list[str] | None, typer.Argument(help="Addresses to check.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each address.")] = False,
    file: Annotated[Path | None, typer.Option(help="A CSV file with a column of addresses.")] = None,
    output: Annotated[Path | None, typer.Option(help="Where to write the file with verdicts.")] = None,
    output_format: Annotated[
        VerdictFormat, typer.Option("--format", help="Format of the output; reacher also without --file.")
    ] = VerdictFormat.CSV,
    patience: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds to wait for servers that can be asked again later.",
            show_default="0; with --file 900",
        ),
    ] = None,
    home: Home = HOME,
) -> None:
    """Verify addresses and show each step; or a list, with --file and --output.

    Needs no run, no Postgres and no Redis. Exit codes: 0 valid, 1 invalid, 2 wrong usage, 3 risky, 4 unknown,
    5 nothing can be verified from here, 130 interrupted. Of several addresses the worst counts. With --file 0 means
    done.
    """
    if bool(addresses) == bool(file) or bool(file) != bool(output):
        raise typer.BadParameter("give addresses, or --file with --output.")
    from cli.verify.addresses import settings_here, verify_addresses
    from cli.verify.file import LIST_PATIENCE_S, ListJob, verify_file

    settings = settings_here(home, errors)
    if file and output:
        waits = LIST_PATIENCE_S if patience is None else patience
        job = ListJob(file, output, output_format, waits)
        raise typer.Exit(verify_file(settings, job, console, errors))
    shown = Shown.REACHER if output_format is VerdictFormat.REACHER else Shown.JSON if as_json else Shown.STEPS
    raise typer.Exit(verify_addresses(settings, addresses or [], patience or 0, console, errors, shown))


@app.command()
def doctor(
    home: Home = HOME,
    mail_domain: Annotated[str | None, typer.Option(help="Your own domain: also check DNS and SMTP with it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check what the engine needs, and say what to do."""
    from cli.doctor.command import print_diagnosis
    from cli.home import adopt_settings

    if (notice := adopt_settings(home)) and mail_domain:
        say(notice, style="yellow", to=errors if as_json else console)
    if not print_diagnosis(console, home, mail_domain, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def migrate(home: Home = HOME) -> None:
    """Migrate the database to the schema of this version."""
    from cli.database import database_of_operator
    from models.migrate import migrate as migrate_database

    with database_of_operator(home) as database:
        migrate_database(database)
    console.print("The database has the schema of this version.")


@app.command()
def completion(shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.")]) -> None:
    """Print a script that completes commands and options in a shell.

    For bash: growth completion bash > ~/.local/share/bash-completion/completions/growth
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    write_text(get_completion_script(prog_name="growth", complete_var="_GROWTH_COMPLETE", shell=shell))


app.command("erase")(erase)
app.command("credits")(show_credits)
show_flags_without_type(app)


class _Queued(NamedTuple):
    """A run that was created, and how many contacts it has."""

    run_id: str
    contacts: int


def _takes_companies(home: Path, preset: str) -> bool:
    """Whether the engine takes contacts with a company alone. One that does not say so decides when it gets them."""
    with suppress(ApiError), ApiClient(find_credentials(home)) as client:
        return client.takes_companies(preset)
    return True


def _submit_large(
    path: Path, reading: "Reading", aside: Path | None, home: Path, preview_rows: int, key: str
) -> _Queued:
    """Upload a file and create a run from it."""
    from cli.submitted import remember
    from cli.uploading import LONGEST_S, put_rejected_aside, say_how_it_was_read, upload

    again = f"The same command with `--idempotency-key {key}` goes on where this one stopped."
    with ApiClient(find_credentials(home)) as client:
        try:
            with going_on_with(f"Stopped. {again}"):
                shown = upload(client, path, reading, errors)
                say_how_it_was_read(shown)
                put_rejected_aside(client, shown, aside)
                patiently = Patience(errors, longest_s=LONGEST_S)
                run_id = patiently(
                    lambda: client.create_run_from(shown["upload_id"], reading.preset, preview_rows, key)
                )
        except ApiAway as away:
            raise ApiError(f"{away} {again}", away.status) from away
    remember(home, run_id, path, reading)
    return _Queued(run_id, shown["counts"]["contacts"])


def _follow(queued: _Queued, home: Path, *, watching: bool, as_json: bool) -> None:
    """Say how to follow a run, or follow it to its end."""
    shown_on = errors if as_json else console
    say(f"Run {queued.run_id}: {queued.contacts} contacts queued.", to=shown_on)
    if not watching:
        say(f"Follow it with: {_following(queued.run_id, home)}", to=shown_on)
        if as_json:
            write_json(queued._asdict())
        return
    with ApiClient(find_credentials(home)) as client:
        state = _watched(client, queued.run_id, home, shown_on)
    _show(state, as_json=as_json)
    _end_as(state)


def _saved_rows(client: ApiClient, run_id: str, handle: Mapping[str, Any], path: Path, home: Path) -> str:
    """Save an export and return a sentence about it."""
    from cli.submitted import recall, save_own_rows

    if handle["asset_id"] == OWN_ROWS:
        save_export(client, run_id, handle, path)
        return f"{handle['rows']} rows in {path}, as they were uploaded, with their results"
    submitted = recall(home, run_id) if handle["format"] == "csv" else None
    if submitted:
        try:
            rows = save_own_rows(client, run_id, handle, submitted, path)
            return f"{handle['rows']} contacts in {path}, behind the {rows} rows of {Path(submitted.path).name}"
        except UnusableFile as problem:
            say(f"{problem} The results are written without the rows of your file.", style="yellow", to=errors)
    save_export(client, run_id, handle, path)
    return f"{handle['rows']} contacts in {path}"


def _show(state: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        write_json(state)
    else:
        print_summary(console, state)


def _watched(client: ApiClient, run_id: str, home: Path, shown_on: Console) -> dict[str, Any]:
    with going_on_with(f"Stopped watching; the run goes on. Follow it with: {_following(run_id, home)}"):
        return watch(client, run_id, shown_on)


def _following(run_id: str, home: Path) -> str:
    where = "" if home == HOME else f" --home {quote(str(home))}"
    return f"growth status {run_id} --watch{where}"


def _end_as(state: dict[str, Any]) -> None:
    raise typer.Exit(0 if state["status"] == "completed" else 1)


def main() -> None:
    """Run the `growth` command; expected failures end in a sentence, never in a traceback."""
    run_to_its_end(app)
