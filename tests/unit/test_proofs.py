"""What the documentation names is there: the proof of each promise, and every name in backticks.

A word alone (`valid`, `mix`) may be anything and is not checked. A name with an underscore, a dot, a slash or capitals
inside is taken for one of ours, unless `OF_OTHERS` says whose it is.
"""

import ast
import re
from pathlib import Path

import pytest
import typer

from cli.main import app
from models.hook import HookEvent
from settings import Settings
from tests import project_names

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
_, _, TABLE = PAGE.partition("## Promises")
ROWS = [line.strip("| ").split(" | ") for line in TABLE.partition("\n## ")[0].splitlines() if line.startswith("| ")][2:]
NAMES = re.compile(r"`(?:test_a_run_survives\[)?(\w+)\]?`")
FILES = re.compile(r"`((?:tests|worker)/[\w/.]+)`")

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
PACKAGES = [ROOT / file for file in project_names.code(*project_names.PACKAGES) if file.name == "__init__.py"]
IN_BACKTICKS = re.compile(r"`([^`\n]+)`")
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
SUPERSEDED = re.compile(r"^Superseded by ", re.MULTILINE)
"""How a decision that is no longer in force begins: it keeps the names of its time."""

FILE = re.compile(r"[\w./-]+\.(?:py|lua|toml|tsv|md|sh)|(?:\.ci|[a-z]+)/[\w./-]*")
USERS_FILE = re.compile(r"[\w-]+\.(?:csv|json|txt)")
DOTTED = re.compile(r"(?:[A-Za-z]\w*\.)+[A-Za-z_]\w*")
SETTING = re.compile(r"[A-Z]+(?:_[A-Z]+)+")
IDENTIFIER = re.compile(r"[A-Za-z]\w*_\w*|[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]*)+")
JSON_OBJECTS = {"error", "evidence", "input_assets", "output", "progress", "smtp", "syntax"}
"""Objects of the API's JSON: the docs write their fields after a dot."""

OF_OTHERS = {
    "Exim": {"smtp_accept_max_nonmail"},
    "OpenSSL": {"SSL_CERT_FILE"},
    "PgBouncer": {"query_wait_timeout", "server_login_retry"},
    "Postgres": {"pg_xact_status"},
    "Python": {"ProcessPoolExecutor"},
    "Reacher": {"CheckEmailOutput"},
    "Celery": {"REMAP_SIGTERM", "worker_soft_shutdown_timeout"},
    "redis-py": {"ssl_certfile", "ssl_check_hostname", "ssl_keyfile"},
    "SQLAlchemy": {"IntegrityError"},
    "columns of a user's file, with our prefix": {"growth_email_status"},
    "placeholders": {"RUN_ID"},
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_promise_names_a_test_or_a_fault(row: list[str]) -> None:
    _promise, _how, proof = row

    assert FILES.findall(proof) or {name for name in NAMES.findall(proof) if name != "internal_error"}


def test_every_test_and_fault_that_is_named_exists() -> None:
    named = {name for _, _, proof in ROWS for name in NAMES.findall(proof)} - {"internal_error"}
    named |= set(re.findall(r"`(test_\w+)`", PAGE))

    assert named - project_names.functions("tests") == set()


def test_every_file_that_is_named_exists() -> None:
    assert [name for name in FILES.findall(PAGE) if not (ROOT / name).exists()] == []


def test_each_line_of_the_promises_is_a_promise_and_none_is_made_twice() -> None:
    lines = [line for line in TABLE.partition("\n## ")[0].splitlines() if line]

    assert [line for line in lines if not line.startswith("| ")] == []
    assert len({row[0] for row in ROWS}) == len(ROWS)


def test_each_decision_has_a_number_of_its_own_and_is_listed() -> None:
    found = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("0*.md"))
    listed = re.findall(r"^\| \[(\d+)\]\((\1-[\w-]+\.md)\) \|", (ROOT / "docs/decisions/README.md").read_text(), re.M)

    assert [name for _, name in listed] == found
    assert len({number for number, _ in listed}) == len(listed)


@pytest.mark.parametrize("page", [*PAGES, *PACKAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_each_name_in_backticks_exists(page: Path) -> None:
    prose = ast.get_docstring(ast.parse(page.read_text())) or "" if page in PACKAGES else page.read_text()
    if SUPERSEDED.search(prose):
        pytest.skip("no longer in force")

    wrong = sorted({name for name in IN_BACKTICKS.findall(CODE_BLOCK.sub("", prose)) if why_wrong(name)})

    assert {name: why_wrong(name) for name in wrong} == {}


def why_wrong(name: str) -> str | None:
    """What must be true of a name in backticks, where it is not."""
    bare = name.removesuffix("()")
    if any(bare in names for names in OF_OTHERS.values()) or USERS_FILE.fullmatch(bare) or bare in set(HookEvent):
        return None
    if found := re.fullmatch(r"(test_\w+)(?:\[(\w+)\])?", bare):
        gone = {part for part in found.groups() if part} - project_names.functions("tests")
        return "a test of this name must exist, and a fault of the name in brackets" if gone else None
    if FILE.fullmatch(bare):
        return None if bare.rstrip("/") in project_names.paths() else "this file or folder must exist"
    if DOTTED.fullmatch(bare):
        return why_wrong_dotted(bare)
    if SETTING.fullmatch(bare):
        is_known = bare.lower() in Settings.model_fields or bare in project_names.words()
        return None if is_known else "a setting, or a constant, of this name must exist"
    if IDENTIFIER.fullmatch(bare):
        return None if bare in project_names.words() else "the code must have this word, as a name or in a string"
    return why_wrong_command(name.split())


def why_wrong_dotted(name: str) -> str | None:
    first = name.partition(".")[0]
    if first in JSON_OBJECTS and set(name.split(".")) <= project_names.words():
        return None
    if project_names.is_ours(first) and not project_names.resolves(name):
        return f"`{first}` is a module, a class or a table of ours: what follows the dot must be there"
    return None


def why_wrong_command(words: list[str]) -> str | None:
    match words:
        case ["make", target, *_]:
            known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            return None if target in known else "the Makefile must have this target"
        case ["python", "-m", module, *_]:
            path = module.replace(".", "/")
            is_there = {path, f"{path}.py"} & project_names.paths() or project_names.is_ours(module)
            return None if is_there else "this module must exist"
        case ["growth", *rest]:
            return why_wrong_growth(rest)
    return None


def why_wrong_growth(words: list[str]) -> str | None:
    """Whether the command line has these commands and options."""
    command = typer.main.get_command(app)
    for word in words:
        if word.startswith("--"):
            if word not in [option for parameter in command.params for option in parameter.opts]:
                return f"`{command.name}` must have the option {word}"
        elif subcommands := getattr(command, "commands", {}):
            if word not in subcommands:
                return f"`{command.name}` must have the command {word}"
            command = subcommands[word]
    return None
