"""Importing a suppression list: a list without usable entries is an error, and unusable lines are named."""

import json
from pathlib import Path

import pytest

from cli.client import ApiError, Credentials
from cli.commands.suppressions import import_file
from pipeline.errors import UnusableFile
from tests.unit.cli.scripted_api import Answer, refusal, scripted_api

TAKEN = Answer(body=json.dumps({"changed": 2, "unchanged": 0, "total": 2}).encode())


def use(credentials: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROWTH_API_URL", credentials.api_url)
    monkeypatch.setenv("GROWTH_API_KEY", credentials.api_key)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"email\n", b"\n\n", b"name,email\nGrace,\n", b"no address\nneither\n"],
    ids=["empty", "a mark", "a UTF-16 mark", "a header", "blank lines", "an empty column", "nothing usable"],
)
def test_a_file_with_nothing_usable_is_an_error(tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.csv").write_bytes(data)
    with scripted_api(TAKEN) as (credentials, script):
        use(credentials, monkeypatch)
        with pytest.raises(UnusableFile, match=r"Nothing was put on the list: list\.csv"):
            import_file(tmp_path / "list.csv")

        assert script.requests == []


@pytest.mark.parametrize("data", [b"PK\x03\x04\0\0", b'email\n"grace@alpha.test\n'])
def test_a_file_that_is_no_list_is_an_error(tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.csv").write_bytes(data)
    with scripted_api(TAKEN) as (credentials, _):
        use(credentials, monkeypatch)
        for path in (tmp_path / "list.csv", tmp_path, tmp_path / "missing.csv"):
            with pytest.raises(UnusableFile):
                import_file(path)


def test_every_unusable_line_is_named_however_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["grace@alpha.test", *["?"] * 20, "alpha.test", *["?"] * 3, "eve@alpha.test", "?"]
    (tmp_path / "list.csv").write_text("\n".join(rows))
    with scripted_api(TAKEN) as (credentials, _):
        use(credentials, monkeypatch)
        with pytest.raises(UnusableFile, match=r"24 lines of list\.csv were not usable"):
            import_file(tmp_path / "list.csv")

    errors = capsys.readouterr().err
    assert all(f"Line {number}: " in errors for number in range(2, 22))
    assert "Not usable either: lines 23-25, 27." in errors


def test_an_import_that_stops_half_way_says_how_far_it_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.csv").write_text("".join(f"person{n}@alpha.test\n" for n in range(5001)))
    with scripted_api(TAKEN, refusal(403, "Renew it.")) as (credentials, _):
        use(credentials, monkeypatch)

        with pytest.raises(ApiError, match=r"Renew it\. The first 5000 entries of list\.csv are on the list"):
            import_file(tmp_path / "list.csv")
