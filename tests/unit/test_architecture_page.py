"""The walks through the code in docs/architecture.md go down the layers and never back up.

That each name exists is checked with all other names in backticks (`test_proofs`).
"""

import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
LAYERS = {
    container: contract["layers"]
    for contract in CONTRACTS
    if contract["type"] == "layers"
    for container in contract.get("containers", [""])
}
STEP = re.compile(r"^\d+\. `([\w.]+)`", re.MULTILINE)


def walks() -> Iterator[tuple[str, list[str]]]:
    """Each numbered list of the page: the heading above it, and the name at the head of each step."""
    for part in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        title = part.partition("\n")[0]
        for block in re.split(r"^(?=1\. )", part, flags=re.MULTILINE)[1:]:
            yield title, STEP.findall(block)


def depth(name: str) -> list[int]:
    """How deep a module is: its place among the layers of each package that it is in."""
    parts, places = name.split("."), []
    for end in range(len(parts)):
        layers = LAYERS.get(".".join(parts[:end]))
        if layers is None:
            break
        places.append(next(place for place, layer in enumerate(layers) if parts[end] in layer.split(" | ")))
    return places


@pytest.mark.parametrize(("title", "names"), list(walks()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_walk_goes_down_the_layers_and_never_back_up(title: str, names: list[str]) -> None:
    assert len(names) > 1, title

    for above, below in pairwise(names):
        # Within a package without layers of its own, any order will do.
        shared = min(len(depth(above)), len(depth(below)))
        assert depth(above)[:shared] <= depth(below)[:shared], f"{below} is above {above}"


def test_both_walks_are_there() -> None:
    assert re.findall(r"^## One .*$", PAGE, re.MULTILINE) == ["## One contact", "## One run"]
    assert len(list(walks())) > 10
