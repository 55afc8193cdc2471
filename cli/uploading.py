"""Sends a large file of `growth submit` as an upload, which goes on after a cut connection or a restart of the API."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from cli.client import ApiAway, ApiClient, ApiError
from cli.submission import EXPLAINED, Reading, rows_are
from cli.terminal import errors, say
from cli.watching import Patience
from cli.whole_file import whole_file
from pipeline.errors import UnusableFile
from pipeline.files.source import GZIP, OLE, PARQUET, ZIP, ZSTD

LARGE = 1 << 20
"""Bytes of text from which on a file is uploaded, some 25,000 contacts: an upload is read in a stream, but the contacts
of one body are all held, 4 kB each. A packed file is uploaded from an eighth of that on."""
PACKED = (GZIP, ZSTD, ZIP, OLE, PARQUET)
PIECE = 1 << 18
LONGEST_S = 900.0
"""How long an upload waits for an API that is away."""
LOOK_EVERY_S = 0.3


def is_large(path: Path) -> bool:
    """Whether a file is uploaded instead of being sent in one body. Pipes are not: they can't be read again."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        is_packed = file.read(4).startswith(PACKED)
    return path.stat().st_size >= (LARGE // 8 if is_packed else LARGE)


def upload(client: ApiClient, path: Path, reading: Reading, console: Console) -> dict[str, Any]:
    """Upload a file and have it read; return how. A part of it that arrived earlier is not sent again.

    Raises `ApiError`, and `UnusableFile` if the file can't be used.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    wanted = {"preset": reading.preset, "mapping": dict(reading.mapping), "encoding": reading.encoding}
    with _bars(console) as bars:
        patiently = Patience(bars.console, longest_s=LONGEST_S)
        upload_id = patiently(lambda: _begun(client, path.name, size, digest, wanted))
        bar = bars.add_task("upload", total=size)
        while not patiently(
            lambda: _send_rest(client, upload_id, path, size, lambda done: bars.update(bar, completed=done))
        ):
            pass
        bars.update(bar, completed=size)
        shown = _read(client, upload_id, wanted, patiently, bars)
    if shown["status"] == "refused":
        client.delete_upload(upload_id)
        raise UnusableFile(shown["detail"])
    return shown


def say_how_it_was_read(shown: Mapping[str, Any]) -> None:
    """Print on stderr what was recognised, and what became of the rows."""
    columns = ", ".join(f"{each['field']} = {each['heading']}" for each in shown["columns"] if each["field"])
    say(f"{shown['name']}: {shown['description']}. Columns: {columns}.", to=errors)
    counts = shown["counts"]
    notices = list(shown["notices"])
    if counts["notes"]:
        notices.append(f"{rows_are(counts['notes'])} below the table: left out as notes.")
    if counts["empty"]:
        notices.append(f"{rows_are(counts['empty'])} empty: left out.")
    if counts["repeated"]:
        notices.append(f"{rows_are(counts['repeated'])} repeated: worked and charged once, and delivered to each.")
    for notice in notices:
        say(notice, style="yellow", to=errors)


def put_rejected_aside(client: ApiClient, shown: Mapping[str, Any], place: Path | None) -> None:
    """Write the rejected rows to a file of their own, if any. Without a place (`--strict`) the upload is refused.

    Raises `ApiError`, `Unwritable`, `UnusableFile`.
    """
    count = shown["counts"]["rejected"]
    if not count:
        return
    if place is None:
        client.delete_upload(shown["upload_id"])
        explained = [_explained(each) for each in shown["rejected"][:EXPLAINED]]
        more = [f"... and {count - len(explained)} more."] if count > len(explained) else []
        sentence = f"Nothing was sent, since {shown['name']} has rows that can't be used:"
        raise UnusableFile("\n".join([sentence, *explained, *more]))
    with whole_file(place) as file:
        for piece in client.rejected_rows(shown["upload_id"]):
            file.write(piece)
    verb = "costs" if count == 1 else "cost"
    say(
        f"{rows_are(count)} not usable and {verb} nothing: see {place}, which has the reasons.",
        style="yellow",
        to=errors,
    )


def _explained(rejected: Mapping[str, Any]) -> str:
    where = "" if rejected["field"] == "row" else f"field {rejected['field']}: "
    return f"Row {rejected['row']}, {where}{rejected['reason']}."


def _begun(client: ApiClient, name: str, size: int, digest: str, wanted: Mapping[str, Any]) -> str:
    """The id of an upload of this file: of one that is not complete or was read as wanted, else of a new one."""
    for each in client.uploads():
        is_usable = each["status"] in ("receiving", "received") or _is_read_so(each, wanted)
        if is_usable and (each["sha256"], each["bytes"], each["name"]) == (digest, size, name):
            return str(each["upload_id"])
    return client.create_upload(name, size, digest)


def _is_read_so(shown: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return shown["status"] == "ready" and all(shown[key] == value for key, value in wanted.items())


def _send_rest(client: ApiClient, upload_id: str, path: Path, size: int, note: Callable[[int], None]) -> bool:
    """Send what has not arrived; return whether all of it has."""
    start = client.upload_offset(upload_id)
    note(start)
    if start >= size:
        return True
    try:
        client.send_bytes(upload_id, start, _pieces(path, start, size, note), size - start)
    except ApiError as error:
        if error.status != 409:
            raise
        # The request that was cut off is still being stored.
        raise ApiAway(str(error), error.status) from error
    return False


def _pieces(path: Path, start: int, size: int, note: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < size and (piece := file.read(min(PIECE, size - start))):
            yield piece
            start += len(piece)
            note(start)


def _read(
    client: ApiClient, upload_id: str, wanted: Mapping[str, Any], patiently: Patience, bars: Progress
) -> dict[str, Any]:
    """Have the upload read, and show meanwhile how many rows are."""
    answers: list[dict[str, Any] | BaseException] = []

    def ask() -> None:
        try:
            answers.append(patiently(lambda: _read_if_needed(client, upload_id, wanted)))
        except BaseException as error:  # noqa: BLE001 - it is raised below, where the command waits
            answers.append(error)

    bar = bars.add_task("rows read", total=None)
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    while asking.is_alive():
        asking.join(LOOK_EVERY_S)
        if asking.is_alive():
            _show_rows(client, upload_id, bars, bar)
    answer = answers[0]
    if isinstance(answer, BaseException):
        raise answer
    if answer["counts"]:
        bars.update(bar, total=answer["counts"]["rows"], completed=answer["counts"]["rows"])
    return answer


def _read_if_needed(client: ApiClient, upload_id: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Have an upload read, but not a second time in the same way: it may have runs."""
    if any(each["upload_id"] == upload_id and _is_read_so(each, wanted) for each in client.uploads()):
        return client.read_upload(upload_id)
    return client.read_upload(upload_id, wanted)


def _show_rows(client: ApiClient, upload_id: str, bars: Progress, bar: TaskID) -> None:
    try:
        bars.update(bar, completed=client.rows_read(upload_id))
    except ApiError:
        return  # The request that waits for the reading says so.


class _Size(DownloadColumn):
    """Bytes of the upload, and a plain number of rows."""

    def render(self, task: Any) -> Any:
        return (
            super().render(task) if task.description == "upload" else TextColumn("{task.completed:,.0f}").render(task)
        )


class _Speed(TransferSpeedColumn):
    def render(self, task: Any) -> Any:
        return super().render(task) if task.description == "upload" else TextColumn("").render(task)


def _bars(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<10}"), BarColumn(), _Size(), _Speed(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)
