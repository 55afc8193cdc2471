"""The programs of the client's README, word for word, in an environment that has nothing of the engine.

They run in a project that has packages called `models` and `api` of its own.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

from cli.local.stack import Stack
from settings import read_settings
from tests.integration.conftest import Client, Population

PROGRAM = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
OWN = "MINE = True\n"
NOT_THERE = """
import importlib.util, api, growth_client, models
assert models.MINE and api.MINE
assert all(importlib.util.find_spec(name) is None for name in ("pipeline", "worker", "cli", "settings"))
print(growth_client.__file__)
"""


def programs(root: Path) -> Mapping[str, str]:
    """Each program of the README by the heading above it."""
    found = {}
    for section in (root / "client/README.md").read_text().split("\n## ")[1:]:
        if program := PROGRAM.search(section):
            found[section.partition("\n")[0]] = program[1]
    return found


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """The interpreter of a new environment with the client. Its dependencies are the ones that are installed here."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    python = home / "bin/python"
    paths = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True)
    # A folder that a .pth file names is searched, and its own .pth files, which lead to the engine, are not.
    (Path(paths.strip()) / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    # Built from a copy: setuptools builds in the folder of the sources.
    sources = shutil.copytree(project_root / "client", home / "client", ignore=shutil.ignore_patterns("*.egg-info"))
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", sources]
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True)
    return python


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("models", "api"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(OWN)
    return tmp_path


@pytest.fixture
def environment(client: Client, stack: Stack) -> dict[str, str]:
    engine = stack.engine.environment
    return {
        "PATH": os.environ["PATH"],
        "GROWTH_API_URL": client.api.api_url,
        "GROWTH_API_KEY": client.account.api_key,
        "DATABASE_URL": engine["DATABASE_URL"],
        "BROKER_URL": read_settings(redis_url=engine["REDIS_URL"]).celery_broker_url,
        "ACCOUNT_ID": str(client.account.account_id),
    }


def run(python: Path, project: Path, program: str, environment: Mapping[str, str]) -> str:
    (project / "program.py").write_text(program)
    done = subprocess.run(
        [python, "-W", "error", "program.py"], cwd=project, env=environment, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_environment_has_the_client_and_the_projects_own_packages(
    python: Path, project: Path, environment: Mapping[str, str]
) -> None:
    assert str(python.parents[1]) in run(python, project, NOT_THERE, environment)


def test_contacts_are_quoted_submitted_watched_and_fetched(
    python: Path, project: Path, project_root: Path, environment: Mapping[str, str]
) -> None:
    printed = run(python, project, programs(project_root)["Find addresses"], environment)

    assert printed.startswith("8 credits at most\n")
    assert "completed 100 Run complete." in printed
    assert [line.split()[0] for line in printed.splitlines()[-2:]] == ["4711", "4712"]
    assert (project / "found.csv").read_text().count("\n") >= 3


def test_a_file_is_uploaded_and_run(
    python: Path, project: Path, project_root: Path, environment: Mapping[str, str], population: Population
) -> None:
    rows = [f"{person.first_name},{person.last_name},{person.domain}" for person in population.hundred[:5]]
    (project / "contacts.csv").write_text("\n".join(["first_name,last_name,domain", *rows, "Nobody,,"]))

    printed = run(python, project, programs(project_root)["Upload a file"], environment)

    assert "'contacts': 5" in printed
    assert "row 7 " in printed
    assert "'delivered_contacts': " in printed


def test_a_run_is_watched_in_asyncio(
    python: Path, project: Path, project_root: Path, environment: Mapping[str, str]
) -> None:
    assert run(python, project, programs(project_root)["In asyncio"], environment).splitlines()[-1] == "100"


def test_a_run_is_created_in_a_transaction_and_sent(
    python: Path, project: Path, project_root: Path, environment: Mapping[str, str], client: Client
) -> None:
    printed = run(python, project, programs(project_root)["In your own transaction"], environment)

    (run_id,) = printed.split()
    assert client.finished(run_id)["status"] == "completed"


def test_the_receiver_of_webhooks_refuses_what_is_not_signed(
    python: Path, project: Path, project_root: Path, environment: Mapping[str, str]
) -> None:
    program = programs(project_root)["Receive webhooks"] + "\nprint(receive(b'{}', {}))\n"

    assert run(python, project, program, environment) == "401\n"


def test_each_program_of_the_readme_is_run(project_root: Path) -> None:
    here = Path(__file__).read_text()

    assert [title for title in programs(project_root) if f'["{title}"]' not in here] == []
