"""An export is written whole or not at all; the file before it stays until then."""

import hashlib
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.client import ApiClient, ApiError
from cli.downloads import choose_export, name_of, save_export, wait_for_export
from cli.exit_codes import CommandFailed
from cli.whole_file import Unwritable, whole_file
from tests.unit.cli.scripted_api import CUT, RUN_ID, Answer, refusal, scripted_api, state

DATA = b"first_name,email\n" + b"Grace,grace@alpha.test\n" * 5000
HANDLE = {
    "asset_id": "contacts_csv", "format": "csv", "rows": 5000,
    "bytes": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest(),
}  # fmt: skip


def save(answer: Answer, place: Path, handle: Mapping[str, Any] = HANDLE) -> None:
    with scripted_api(answer) as (credentials, _), ApiClient(credentials) as client:
        save_export(client, RUN_ID, handle, place)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "result.csv").write_text("yesterday's")
    return tmp_path / "result.csv"


def test_a_whole_export_replaces_yesterdays_and_keeps_its_permissions(place: Path) -> None:
    place.chmod(0o640)

    save(Answer(body=DATA), place)

    assert place.read_bytes() == DATA
    assert place.stat().st_mode & 0o777 == 0o640
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (CUT, "the connection was cut"),
        (Answer(body=DATA[:70_000], announced=len(DATA)), "the connection was cut"),
        (Answer(body=DATA[:70_000]), f"Only 70000 of {len(DATA)} bytes came"),
        (Answer(body=DATA + b"x"), "more than the export holds"),
        (Answer(body=DATA[:-1] + b"x"), "another checksum"),
        (Answer(body=b"not gzip", headers={"Content-Encoding": "gzip"}), "does not answer"),
        (refusal(503, "The database can't be reached right now."), "The database can't be reached"),
        (refusal(404, "There is no such export."), "no such export"),
        (Answer(502, b"<html>"), "502 Bad Gateway"),
        (Answer(302, b"", {"Location": "https://elsewhere.test/"}), "https://elsewhere.test/"),
    ],
    ids=["closed", "cut", "short", "long", "altered", "garbled", "503", "404", "proxy's 502", "redirect"],
)
def test_yesterdays_file_survives_a_download_that_fails(place: Path, answer: Answer, sentence: str) -> None:
    with pytest.raises(ApiError, match=sentence):
        save(answer, place)

    assert place.read_text() == "yesterday's"
    assert list(place.parent.iterdir()) == [place]


def test_a_place_that_can_not_be_written_is_reported_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()

    for place, sentence in (
        ("folder", "is a folder"),
        ("missing/result.csv", "there is no folder"),
        ("file/result.csv", "there is no folder"),
        ("x" * 300, "File name too long"),
    ):
        with pytest.raises(Unwritable, match=sentence):
            save(Answer(body=DATA), tmp_path / place)

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_full_disk_leaves_yesterdays_file_and_nothing_else(place: Path) -> None:
    # No disk is needed to be full: beyond this size the kernel refuses to write.
    program = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "from cli.main import main; main()"
    )
    with scripted_api(state(export_handles=[HANDLE]), Answer(body=DATA)) as (credentials, _):
        done = subprocess.run(
            [sys.executable, "-c", program, "export", RUN_ID, "--output", str(place)],
            env={**os.environ, "GROWTH_API_URL": credentials.api_url, "GROWTH_API_KEY": credentials.api_key},
            capture_output=True,
            text=True,
        )

    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "can't be written: File too large" in done.stderr
    assert place.read_text() == "yesterday's"
    assert list(place.parent.iterdir()) == [place]


def test_a_symlink_stays_a_symlink_to_the_new_file(place: Path) -> None:
    symlink = place.with_name("latest.csv")
    symlink.symlink_to(place)

    save(Answer(body=DATA), symlink)

    assert symlink.is_symlink()
    assert place.read_bytes() == DATA


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"export_handles": [HANDLE]}, "no json export. Offered: csv."),
        ({"status": "running", "percent": 45}, "no export yet: it is running, 45%. Wait for it with `growth status"),
        ({"status": "failed"}, "no json export. As it is."),
        ({"export_handles": [{"format": "json", "asset_id": "contacts_json"}]}, "does not state size and checksum"),
    ],
)
def test_an_export_that_is_not_there_is_reported_with_what_to_do(answer: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ApiError, match=re.escape(sentence)):
        choose_export(json.loads(state(**answer).body), "json")


def test_an_ended_write_leaves_nothing(place: Path) -> None:
    with pytest.raises(KeyboardInterrupt), whole_file(place) as file:
        file.write(b"half")
        raise KeyboardInterrupt

    assert place.read_text() == "yesterday's"
    assert list(place.parent.iterdir()) == [place]


def test_a_pipe_gets_the_export_only_when_all_of_it_is_right(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    small = {**HANDLE, "bytes": 4, "sha256": hashlib.sha256(b"true").hexdigest()}

    with pytest.raises(CommandFailed):
        save(Answer(body=b"fals"), pipe, small)
    assert os.read(reader, 100) == b""
    save(Answer(body=b"true"), pipe, small)

    assert os.read(reader, 100) == b"true"
    os.close(reader)
    assert pipe.is_fifo()


def test_an_export_is_saved_under_a_name_that_opens_with_the_right_program() -> None:
    assert [name_of("RUN", each) for each in ("csv", "xlsx", "excel_de")] == ["RUN.csv", "RUN.xlsx", "RUN.excel_de.csv"]


def test_an_export_in_a_new_format_is_made_and_waited_for() -> None:
    workbook = {**HANDLE, "format": "xlsx"}
    answers = (state(), state(), state(), state(export_handles=[workbook]))
    with scripted_api(*answers) as (credentials, script), ApiClient(credentials) as client:
        assert wait_for_export(client, RUN_ID, "xlsx") == workbook

    assert [method for method, _, _ in script.requests] == ["GET", "POST", "GET", "GET"]
    assert script.requests[1][1].endswith("/exports?format=xlsx")


@pytest.mark.parametrize(
    "why", ["The export files can't be written yet; the next try is at 10:00:00 UTC.", "Its export files could not be"]
)
def test_an_export_that_can_not_be_written_is_not_waited_for(why: str) -> None:
    progress = {"percent": 100, "message": why, "stages": {}}
    with (
        scripted_api(state(progress=progress)) as (credentials, _),
        ApiClient(credentials) as client,
        pytest.raises(ApiError, match=re.escape(why)),
    ):
        wait_for_export(client, RUN_ID, "xlsx")
