"""Each promise of docs/reliability.md names what proves it: that proof is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()
_, _, TABLE = PAGE.partition("## Promises")
ROWS = [line.strip("| ").split(" | ") for line in TABLE.partition("\n## ")[0].splitlines() if line.startswith("| ")][2:]
NAMES = re.compile(r"`(?:test_a_run_survives\[)?(\w+)\]?`")
FILES = re.compile(r"`((?:tests|worker)/[\w/.]+)`")


def functions_of(directory: str) -> set[str]:
    trees = [ast.parse(path.read_text()) for path in (ROOT / directory).rglob("*.py")]
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_promise_names_a_test_or_a_fault(row: list[str]) -> None:
    _promise, _how, proof = row

    assert FILES.findall(proof) or {name for name in NAMES.findall(proof) if name != "internal_error"}


def test_every_test_and_fault_that_is_named_exists() -> None:
    named = {name for _, _, proof in ROWS for name in NAMES.findall(proof)} - {"internal_error"}
    named |= set(re.findall(r"`(test_\w+)`", PAGE))

    assert named - functions_of("tests") == set()


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
