"""A home is closed to other users, serves one engine at a time, and gives other commands that engine's settings."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cli.client import ApiError, Credentials, find_credentials
from cli.home import HomeUnusable, adopt_settings, is_in_use, locked_home, settings_to_keep
from cli.local.ports import PortTaken, exact_port, free_port

HOLD = """
import sys, time
from pathlib import Path
from cli.home import locked_home
with locked_home(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("before", [None, 0o755, 0o777])
def test_a_home_is_closed_to_others_whatever_its_mode_was(tmp_path: Path, before: int | None) -> None:
    home = tmp_path / "home"
    if before:
        home.mkdir()
        home.chmod(before)

    with locked_home(home):
        assert home.stat().st_mode & 0o777 == 0o700


def test_a_home_in_use_refuses_a_second_engine_and_says_where_the_first_is(tmp_path: Path) -> None:
    Credentials("http://127.0.0.1:8123", "growth_x").save(tmp_path)

    with (
        locked_home(tmp_path),
        pytest.raises(HomeUnusable, match=r"API at http://127\.0\.0\.1:8123"),
        locked_home(tmp_path),
    ):
        pass

    assert not is_in_use(tmp_path)


def test_an_engine_that_was_killed_holds_no_home(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout
    assert holder.stdout.readline() == b"held\n"
    assert is_in_use(tmp_path)

    holder.kill()
    holder.wait()

    with locked_home(tmp_path):
        pass
    holder.stdout.close()


def test_a_folder_that_others_use_is_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, mine, file = tmp_path / "shared", tmp_path / "mine", tmp_path / "file"
    shared.mkdir()
    shared.chmod(0o1777)
    mine.mkdir(0o755)
    file.touch()
    monkeypatch.setenv("HOME", str(mine))

    for path, sentence in (
        (shared, "a folder of its own"),
        (Path("/"), "a folder of its own"),
        (mine, "a folder of its own"),
        (file, "is not a folder"),
        (file / "home", "is not a folder"),
        (Path("/proc/home"), "can't be used"),
        (tmp_path / "a home", "without spaces"),
    ):
        with pytest.raises(HomeUnusable, match=sentence), locked_home(path):
            pass

    assert (shared.stat().st_mode & 0o7777, mine.stat().st_mode & 0o777) == (0o1777, 0o755)


def test_commands_have_the_settings_of_the_running_engine_and_their_own_before_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"DNS_RESOLVERS": "127.0.0.1:5353", "SMTP_PORT": "2525"}
    Credentials("http://127.0.0.1:8000", "growth_x", settings=settings).save(tmp_path)
    monkeypatch.setattr(os, "environ", {"SMTP_PORT": "26"})

    adopt_settings(tmp_path)
    assert os.environ == {"SMTP_PORT": "26"}, "the engine has ended: its sandbox is gone"
    with locked_home(tmp_path):
        adopt_settings(tmp_path)

    assert os.environ == {"SMTP_PORT": "26", "DNS_RESOLVERS": "127.0.0.1:5353"}


def test_a_command_that_asks_the_sandbox_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"DNS_RESOLVERS": "127.0.0.1:5353", "SMTP_ALLOW_PRIVATE": "true"}
    Credentials("http://127.0.0.1:8000", "growth_x", settings=settings).save(tmp_path)
    monkeypatch.setattr(os, "environ", {})

    with locked_home(tmp_path):
        assert f"the sandbox of the `growth up` that runs in {tmp_path}" in adopt_settings(tmp_path)
        assert adopt_settings(tmp_path) == "", "nothing is taken over that is set already"


def test_only_settings_of_an_environment_are_kept_and_paths_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    kept = settings_to_keep(
        {"LISTS_DIR": "lists", "SMTP_HELO_NAME": "mx.example", "PATH": "/bin", "PROVIDERS_FILE": ""}
    )

    assert kept == {"LISTS_DIR": str(tmp_path / "lists"), "SMTP_HELO_NAME": "mx.example"}


def test_a_home_that_can_not_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").mkdir()

    with pytest.raises(ApiError, match="can't be read: Is a directory"):
        find_credentials(tmp_path)


def test_a_port_that_was_chosen_is_used_or_refused_and_a_default_one_is_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(PortTaken, match=f"Port {port} is taken: choose another with --port"):
            exact_port(port)
        assert free_port(port) not in (0, port)

    assert exact_port(0) != 0
