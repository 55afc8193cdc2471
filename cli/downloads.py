"""Downloads exports, and checks size and hash before the file appears."""

import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from cli.client import ApiAway, ApiClient, ApiError
from cli.terminal import leave_closed_pipe
from cli.whole_file import Unwritable, sentence_of, whole_file

OWN_ROWS = "own_rows"
"""The asset of an uploaded run that has all rows of its file, with their results."""
OF_UPLOAD = (OWN_ROWS, "rejected_rows")
STATED = {"asset_id", "rows", "bytes", "sha256"}
LOOK_EVERY_S = 0.3
STDOUT = (Path("-"), Path("/dev/stdout"), Path("/dev/fd/1"))


def choose_export(state: Mapping[str, Any], export_format: str) -> Mapping[str, Any]:
    """Return the handle of an export. Raises `ApiError` if the run has none in this format.

    As CSV, the rows of the file are returned if the run was uploaded.
    """
    own_rows = _own_rows(state)
    if export_format == "csv" and own_rows.keys() >= STATED:
        return own_rows
    handles = _contacts(state)
    if export_format in handles:
        if not handles[export_format].keys() >= STATED:
            raise ApiError("This API does not state size and checksum of its exports: update the engine behind it.")
        return handles[export_format]
    if handles:
        raise ApiError(f"This run has no {export_format} export. Offered: {', '.join(handles)}.")
    if state["status"] in ("pending", "running"):
        raise ApiError(
            f"This run has no export yet: it is {state['status']}, {state['progress']['percent']}%. "
            f"Wait for it with `growth status {state['run_id']} --watch`."
        )
    raise ApiError(f"This run has no {export_format} export. {state['progress']['message']}")


def wait_for_export(client: ApiClient, run_id: str, export_format: str) -> Mapping[str, Any]:
    """Return the handle of an export of a finished run; one in a new format is made first.

    Raises `ApiError`, also when it can't be written.
    """
    state = client.read_run(run_id)
    if state["status"] not in ("pending", "running") and not _has(state, export_format):
        state = client.add_export(run_id, export_format)
        while not _has(state, export_format) and "export files" not in state["progress"]["message"]:
            time.sleep(LOOK_EVERY_S)
            state = client.read_run(run_id)
    return choose_export(state, export_format)


def _has(state: Mapping[str, Any], export_format: str) -> bool:
    return export_format in _contacts(state)


def _own_rows(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The handle of the uploaded file's rows. A run that was stopped has it among its exports."""
    handles = [*state.get("artifact_handles", ()), *state["export_handles"]]
    return next((each for each in handles if each["asset_id"] == OWN_ROWS), {})


def _contacts(state: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The handles of the exports, by their formats."""
    exports = [handle for handle in state["export_handles"] if handle["asset_id"] not in OF_UPLOAD]
    return {handle["format"]: handle for handle in exports}


def name_of(run_id: str, export_format: str) -> str:
    """The name of the file that an export is saved as."""
    return f"{run_id}.{export_format}{'.csv' if export_format.startswith('excel') else ''}"


def save_export(client: ApiClient, run_id: str, handle: Mapping[str, Any], place: Path) -> None:
    """Download an export completely or not at all. `-` and pipes get it after it has been checked.

    Raises `ApiError`, `Unwritable`.
    """
    pieces = client.export_pieces(run_id, handle["asset_id"])
    try:
        save_whole(place, lambda file: _copy(pieces, handle, file))
    except ApiAway as away:
        raise ApiError(f"{away} Nothing was written: run the command again.", away.status) from away


def save_whole(place: Path, write: Callable[[BinaryIO], None]) -> None:
    """Have a file written completely or not at all. `-` and pipes get it when it is complete. Raises `Unwritable`."""
    if place in STDOUT or _is_pipe(place):
        _save_to_stream(place, write)
        return
    with whole_file(place) as file:
        write(file)


def _save_to_stream(place: Path, write: Callable[[BinaryIO], None]) -> None:
    """Spool the file in a temporary one first: what was written to a pipe can't be taken back."""
    try:
        with tempfile.TemporaryFile() as spool:
            write(spool)
            spool.seek(0)
            _write_out(spool, place)
    except BrokenPipeError:
        leave_closed_pipe()
    except OSError as error:
        raise Unwritable(sentence_of(error, place)) from error


def _write_out(spool: BinaryIO, place: Path) -> None:
    # Not through sys.stdout.buffer: after a closed pipe its content would fail again at exit.
    sys.stdout.flush()
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb", 0) if place in STDOUT else place.open("wb") as stream:
        shutil.copyfileobj(spool, stream)


def _copy(pieces: Iterable[bytes], handle: Mapping[str, Any], file: BinaryIO) -> None:
    size, digest = 0, hashlib.sha256()
    for piece in pieces:
        size += len(piece)
        if size > handle["bytes"]:
            raise ApiError("The API sends more than the export holds. Nothing was written: run the command again.")
        digest.update(piece)
        file.write(piece)
    if size < handle["bytes"]:
        raise ApiError(f"Only {size} of {handle['bytes']} bytes came. Nothing was written: run the command again.")
    if digest.hexdigest() != handle["sha256"]:
        raise ApiError("What came has another checksum than the export. Nothing was written: run the command again.")


def _is_pipe(place: Path) -> bool:
    """Whether it is a device or a pipe, such as `/dev/null`, which is written to and not replaced."""
    try:
        return place.exists() and not place.is_file() and not place.is_dir()
    except OSError:
        return False
