"""`growth suppressions` and `growth erase`, which use the API.

As in `cli.main`, modules that are slow to load are imported where they are used.
"""

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.client import ApiClient, ApiError, find_credentials
from cli.options import HOME, AsJson, Home
from cli.terminal import console, errors, say, say_error, write_json
from cli.watching import Patience
from pipeline.errors import UnusableFile

AT_ONCE = 5000
EXPLAINED = 20
"""How many unusable lines are explained; of the others only the number is printed."""
PATIENCE_S = 300.0
HASH_COLUMNS = {"sha256", "hash", "email sha256", "email hash", "address sha256"}
PERSON_FIELDS = ("email", "first_name", "last_name", "full_name", "domain")

suppressions = typer.Typer(no_args_is_help=True, help="The suppression list: no server is asked about anybody on it.")
Entries = Annotated[list[str], typer.Argument(help="Addresses, domains, or their SHA-256 in hexadecimal.")]


@suppressions.command("add")
def add(entries: Entries, home: Home = HOME, as_json: AsJson = False) -> None:
    """Put addresses, domains or hashes on the list."""
    with ApiClient(find_credentials(home)) as client:
        _say(client.change_suppressions("", entries), "new on the list", "on it already", as_json=as_json)


@suppressions.command("remove")
def remove(entries: Entries, home: Home = HOME, as_json: AsJson = False) -> None:
    """Take entries off the list."""
    with ApiClient(find_credentials(home)) as client:
        _say(client.change_suppressions("/remove", entries), "taken off the list", "were not on it", as_json=as_json)


@suppressions.command("check")
def check(entries: Entries, home: Home = HOME, as_json: AsJson = False) -> None:
    """Say whether each entry is on the list. Exit code 1 if one is not."""
    with ApiClient(find_credentials(home)) as client:
        suppressed = client.change_suppressions("/check", entries)["suppressed"]
    if as_json:
        write_json(dict(zip(entries, suppressed, strict=True)))
        raise typer.Exit(0 if all(suppressed) else 1)
    for entry, is_suppressed in zip(entries, suppressed, strict=True):
        words = "suppressed" if is_suppressed else "not suppressed"
        say(f"{entry}: {words}")
    raise typer.Exit(0 if all(suppressed) else 1)


@suppressions.command("list")
def show(home: Home = HOME) -> None:
    """Write the list as CSV. It holds hashes only; `growth suppressions check` says who is on it."""
    writer = csv.writer(sys.stdout)
    writer.writerow(["sha256", "kind", "created_at"])
    with ApiClient(find_credentials(home)) as client:
        for entry in client.read_suppressions():
            writer.writerow([entry["sha256"], entry["kind"], entry["created_at"]])


@suppressions.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A CSV of addresses, domains or SHA-256 hashes, one a row.")],
    home: Home = HOME,
    as_json: AsJson = False,
) -> None:
    """Put a file on the list. Lines that can't be used are reported; the others are added. Exit code 1 then."""
    refused: list[int] = []

    def refuse(line: int, problem: str) -> None:
        refused.append(line)
        if len(refused) <= EXPLAINED:
            say_error(f"Line {line}: {problem}.")

    with ApiClient(find_credentials(home)) as client:
        totals = _import(client, _usable(file, refuse), file.name)
    if len(refused) > EXPLAINED:
        say_error(f"Not usable either: {_ranges(refused[EXPLAINED:])}.")
    if totals is None:
        raise UnusableFile(
            f"Nothing was put on the list: {file.name} has no address, domain or SHA-256 hash that can be used."
        )
    _say(totals, "new on the list", "on it already", as_json=as_json)
    if refused:
        raise UnusableFile(f"{len(refused)} lines of {file.name} were not usable: correct them and import it again.")


def _import(client: ApiClient, entries: Iterator[str], name: str) -> dict[str, Any] | None:
    """Add all entries and return the totals; None if there are no entries."""
    patiently, done = Patience(errors, longest_s=PATIENCE_S), 0
    totals: dict[str, Any] | None = None
    try:
        while some := list(islice(entries, AT_ONCE)):
            answer = patiently(partial(client.change_suppressions, "", some))
            before = totals or {"changed": 0, "unchanged": 0}
            totals = {**answer, **{key: before[key] + answer[key] for key in ("changed", "unchanged")}}
            done += len(some)
    except ApiError as error:
        raise ApiError(f"{error} The first {done} entries of {name} are on the list: import it again.") from error
    return totals


def _ranges(lines: Sequence[int]) -> str:
    """Write line numbers as ranges: `lines 4, 7-9`."""
    ranges: list[list[int]] = []
    for line in lines:
        if ranges and line == ranges[-1][-1] + 1:
            ranges[-1][1:] = [line]
        else:
            ranges.append([line])
    return "lines " + ", ".join("-".join(map(str, each)) for each in ranges)


def erase(
    who: Annotated[str, typer.Argument(help="An address; or a CSV file with email, or names with domain.")] = "",
    name: Annotated[str, typer.Option(help="Name of the person; with --domain.")] = "",
    domain: Annotated[str, typer.Option(help="Domain of their company.")] = "",
    suppress: Annotated[
        bool, typer.Option("--suppress/--no-suppress", help="Also put them on the suppression list.")
    ] = True,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    home: Home = HOME,
    as_json: AsJson = False,
) -> None:
    """Erase people from all runs and all kept data. This can't be undone."""
    from models.bounds import PEOPLE

    people = _people(who, name, domain)
    if not yes:
        typer.confirm(f"Erase {len(people)} people for good?", abort=True, err=True)
    with ApiClient(find_credentials(home)) as client:
        starts = range(0, len(people), PEOPLE.most)
        erased = (client.erase(people[start : start + PEOPLE.most], suppress=suppress) for start in starts)
        if as_json:
            write_json(list(erased))
            return
        for done in erased:
            console.print(
                f"Erased {done['contacts']} contacts in {len(done['run_ids'])} runs, {done['verdicts']} kept verdicts, "
                f"{done['provider_answers']} providers' answers; {done['suppressed']} new entries on the "
                f"suppression list. Erasure {done['erasure_id']}.",
                soft_wrap=True,
            )


def _people(who: str, name: str, domain: str) -> Sequence[dict[str, str]]:
    if who and Path(who).is_file():
        return _people_in(Path(who))
    if who and "@" not in who:
        raise ApiError(f"{who} is neither an address nor a file.")
    if not who and not (name and domain):
        raise ApiError("Say whom to erase: an address, a file, or --name with --domain.")
    given = {"email": who, "full_name": name, "domain": domain}
    return [{key: value for key, value in given.items() if value}]


def _people_in(file: Path) -> Sequence[dict[str, str]]:
    from pipeline.files.contacts import open_contacts

    reader = open_contacts(file)
    people = [{key: row[key] for key in PERSON_FIELDS if row.get(key)} for row in reader.contacts()]
    if reader.counts.rejected:
        raise UnusableFile(
            f"{reader.counts.rejected} rows of {file.name} name nobody: `growth submit --dry-run` says why."
        )
    return people


def _usable(file: Path, refuse: Callable[[int, str], None]) -> Iterator[str]:
    """Yield the usable entries of a file, one a row, without blank lines."""
    from pipeline.errors import InvalidInput
    from pipeline.files.table import open_rows
    from pipeline.privacy.suppressions import parse_entry

    column: int | None = None
    for row in (row for row in open_rows(file).stream() if not row.is_blank):
        line = row.number
        if column is None:
            column, is_header = _column(row.cells)
            if is_header:
                continue
        entry = row.cells[column].strip() if column < len(row.cells) else ""
        try:
            parse_entry(entry)
        except InvalidInput as problem:
            refuse(line, str(problem))
        else:
            yield entry


def _column(first: Sequence[str]) -> tuple[int, bool]:
    """Find the column of entries, and whether the first row is a header.

    Only one column counts: a `domain` beside an `email` must not suppress everybody at that domain."""
    from pipeline.files.headings import meaning_of, plain_heading

    meanings = [meaning_of(title) for title in first]
    fields = [
        meaning.field if meaning else plain_heading(title) for meaning, title in zip(meanings, first, strict=True)
    ]
    for names in ({"email", "address"}, HASH_COLUMNS, {"domain"}, {"entry", "value"}):
        for index, field in enumerate(fields):
            if field in names:
                return index, True
    return 0, False


def _say(answer: dict[str, Any], changed: str, unchanged: str, *, as_json: bool) -> None:
    if as_json:
        write_json(answer)
        return
    say(f"{answer['changed']} {changed}, {answer['unchanged']} {unchanged}; entries on it now: {answer['total']}.")
