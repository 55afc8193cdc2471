"""Who may own an address: everybody whose name can make its local part, kept in little memory."""

import random
import tracemalloc
from collections.abc import Sequence

from pipeline.lookup.names.parse import Name, parse_name
from pipeline.lookup.patterns.patterns import local_parts
from pipeline.lookup.search.contested import ContestedAddresses
from sandbox.names import draw_name

MOST_BYTES_OF_A_NAME = 1_000
"""As texts it was ten times as much, and a worker process held five hundred megabytes of them."""


def names(count: int) -> Sequence[Name]:
    chosen = random.Random(1)  # noqa: S311 - made-up people
    drawn = {parse_name(first_name=first, last_name=last) for first, last in (draw_name(chosen) for _ in range(count))}
    return [name for name in drawn if name]


def test_everybody_who_may_have_a_local_part_is_a_rival_unless_found() -> None:
    everybody = names(300)
    contested = ContestedAddresses(everybody)
    found = set(everybody[::7])
    made_of = {name: local_parts(name) for name in everybody}

    for local_part in {part for name in everybody for part in made_of[name]}:
        possible = [name for name in everybody if local_part in made_of[name]]
        assert contested.rivals(local_part, found) == [name for name in possible if name not in found]


def test_a_local_part_that_nobody_can_have_has_no_rivals() -> None:
    assert ContestedAddresses(names(50)).rivals("nobody.at.all", set()) == []


def test_a_name_takes_less_than_a_thousand_bytes() -> None:
    everybody = names(400)
    tracemalloc.start()
    try:
        contested = ContestedAddresses(everybody)
        contested.rivals("ada.lindholm", set())
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept / len(everybody) < MOST_BYTES_OF_A_NAME
