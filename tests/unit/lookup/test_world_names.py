"""The candidates of invented people from all over the world, as a table: world_names.tsv."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.lookup.names.parse import parse_name
from pipeline.lookup.patterns.candidates import candidates

TABLE = Path(__file__).with_name("world_names.tsv")
FIRST = 8


def rows() -> Iterator[tuple[str, str, list[str]]]:
    for line in TABLE.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            culture, name, local_parts = line.split("\t")
            yield culture, name, local_parts.split()


def missed(full_name: str, local_parts: list[str]) -> set[str]:
    name = parse_name(full_name=full_name)
    return set(local_parts) - {each.local_part for each in candidates(name, limit=FIRST)} if name else set(local_parts)


@pytest.mark.parametrize("culture", sorted({culture for culture, _, _ in rows()}))
def test_what_companies_make_of_a_name_is_among_the_first_eight_candidates(culture: str) -> None:
    misses = {name: missed(name, local_parts) for each, name, local_parts in rows() if each == culture}

    assert {name: local_parts for name, local_parts in misses.items() if local_parts} == {}


def test_the_table_is_large_enough_to_mean_something() -> None:
    assert len({name for _, name, _ in rows()}) >= 300
    assert len({culture for culture, _, _ in rows()}) >= 50
