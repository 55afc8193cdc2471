"""`growth verify --file`: verifies a list of any size, and continues after an interruption."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from cli.exit_codes import ExitCode, UnableToCheck
from cli.verify.addresses import is_unreachable, mail_config, open_network, run_until_signal, say_port_is_shut
from cli.verify.list_check import check_list
from cli.verify.output_files import VerdictCounts, write_verdicts
from cli.verify.verdict_format import VerdictFormat
from cli.verify.worklist import Worklist
from cli.whole_file import Unwritable, check_place, sentence_of
from pipeline.errors import UnusableFile
from pipeline.files.addresses import AddressList, open_addresses
from pipeline.mail.address.syntax import Address, parse_address
from pipeline.mail.outage import Outage
from settings import Settings
from worker.garbage import collect_rarely

LIST_PATIENCE_S = 900.0
"""How long a list waits for servers that can be asked again later, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class ListJob:
    """A list to check, and where and how to write it with verdicts.

    `patience` is the number of seconds to wait for servers that can be asked again later.
    """

    source: Path
    output: Path
    output_format: VerdictFormat = VerdictFormat.CSV
    patience: float = LIST_PATIENCE_S


def verify_file(settings: Settings, job: ListJob, console: Console, errors: Console) -> ExitCode:
    """Check each address of a list and write the list with verdicts. Raises `UnableToCheck`."""
    started = time.monotonic()
    collect_rarely()
    with _file_errors_translated():
        file = _open(job, errors)
        with _worklist(job.output) as worklist:
            _load(worklist, file)
            if not run_until_signal(_check(settings, worklist, job.patience, errors)):
                _say_stopped(errors, worklist)
                return ExitCode.INTERRUPTED
            counts = write_verdicts(job.output, job.output_format, file, worklist)
            _print_summary(console, counts, _title(job, counts, worklist, time.monotonic() - started))
            worklist.delete()
    if is_unreachable(reason for _, reason in counts):
        say_port_is_shut(errors)
    return ExitCode.VALID


@contextmanager
def _file_errors_translated() -> Iterator[None]:
    """Raise `UnableToCheck` for a file that can't be used: `growth verify` has an exit code for that."""
    try:
        yield
    except (UnusableFile, Unwritable) as error:
        raise UnableToCheck(str(error)) from error


def _open(job: ListJob, errors: Console) -> AddressList:
    """Open the list, and print what its reader noticed. Checks before any work that the output can be written."""
    file = open_addresses(job.source)
    check_place(job.output)
    for notice in file.notices:
        errors.print(notice, style="yellow", soft_wrap=True, highlight=False, markup=False)
    return file


@contextmanager
def _worklist(output: Path) -> Iterator[Worklist]:
    """Open the worklist beside the output. Raises `UnableToCheck` if nothing can be written there."""
    try:
        place = output.with_name(f".{output.name}.progress")
        worklist = Worklist(place)
        try:
            yield worklist
        finally:
            worklist.close()
            if not worklist.done:
                place.unlink(missing_ok=True)
    except OSError as error:
        raise UnableToCheck(sentence_of(error, output)) from error
    except sqlite3.Error as error:
        raise UnableToCheck(f"There is no writing beside {output} ({error}): free some space there.") from error


def _load(worklist: Worklist, file: AddressList) -> None:
    stat = file.path.stat()
    if not worklist.is_loaded(f"{file.path.resolve()} {stat.st_size} {stat.st_mtime_ns} {file.column}"):
        worklist.load(_addresses(file))


def _addresses(file: AddressList) -> Iterator[Address]:
    for row in file.rows():
        address = parse_address(file.address(row))
        if isinstance(address, Address):
            yield address


async def _check(settings: Settings, worklist: Worklist, patience: float, errors: Console) -> bool:
    network = open_network(mail_config(settings, patience))
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    try:
        with Progress(*columns, console=errors) as bars:
            bar = bars.add_task("Different addresses", total=worklist.size, completed=worklist.done)
            outage = await check_list(worklist, network, patience, lambda: bars.update(bar, completed=worklist.done))
            bars.update(bar, completed=worklist.done)
    finally:
        await network.close()
    _raise_outage(outage)
    return True


def _raise_outage(outage: Outage | None) -> None:
    if outage:
        raise UnableToCheck(f"{outage.message} The same command goes on where it stopped.")


def _title(job: ListJob, counts: VerdictCounts, worklist: Worklist, seconds: float) -> str:
    return f"{counts.total()} rows in {job.output}, {worklist.size} different addresses, {seconds:.1f} s"


def _say_stopped(errors: Console, worklist: Worklist) -> None:
    errors.print(
        f"Stopped: {worklist.done} of {worklist.size} different addresses are checked."
        " The same command goes on from there.",
        soft_wrap=True,
        highlight=False,
    )


def _print_summary(console: Console, counts: VerdictCounts, title: str) -> None:
    console.print(title, style="italic", soft_wrap=True, highlight=False, markup=False)
    table = Table(show_header=False, box=None)
    table.add_column(justify="right")
    for (status, reason), count in counts.most_common():
        table.add_row(str(count), f"[bold]{status}[/bold]", reason, f"[dim]{reason.sentence}[/dim]")
    console.print(table)
