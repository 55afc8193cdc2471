"""The `growth` command in processes of its own that start at once.

Python takes half a second of processor time and more to import what the command needs. One process imports it once,
and is forked for each call: what is called has its own environment, folder, streams and exit code, as if a shell
had started it. How the command starts and ends as an installed program is tested in `tests/unit/cli/test_endings.py`.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

IMPORTED_ONCE = (
    "alembic.context", "httpx", "models.tables", "pipeline.files.contacts", "pipeline.mail.network",
    "pipeline.runs.lifecycle", "rich.progress", "settings.mail", "typer.main",
)  # fmt: skip
"""All but the command itself, which looks at its environment when it is imported."""
LONGEST_S = 90.0

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(list(IMPORTED_ONCE))


def run_growth(
    *arguments: str, env: Mapping[str, str], cwd: Path | None = None, stdin: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Call `growth` with these arguments. Raises `TimeoutExpired` after a minute and a half."""
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("stdin", "stdout", "stderr")]
        streams[0].write_text(stdin)
        process = _forks.Process(target=_call, args=(arguments, dict(env), cwd or Path.cwd(), streams))
        process.start()
        process.join(LONGEST_S)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(["growth", *arguments], LONGEST_S)
        stdout, stderr = (path.read_text() for path in streams[1:])
        return subprocess.CompletedProcess(["growth", *arguments], process.exitcode, stdout, stderr)


def _call(arguments: tuple[str, ...], env: dict[str, str], cwd: Path, streams: list[Path]) -> None:
    """In the forked process: become what a shell would have started."""
    for descriptor, path in enumerate(streams):
        opened = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = ["growth", *arguments]

    from cli.main import main

    main()
