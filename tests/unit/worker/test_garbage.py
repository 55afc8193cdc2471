"""A process whose garbage collector runs rarely still frees cycles."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from worker.garbage import NEW_OBJECTS, collect_rarely


class Cycle:
    """An object that refers to itself, so that reference counting never frees it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def rarely() -> Iterator[None]:
    before = gc.get_threshold()
    collect_rarely()
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("rarely")
def test_what_only_the_collector_can_free_is_freed_after_some_thousands_of_objects() -> None:
    freed = weakref.ref(Cycle())

    kept = [Cycle() for _ in range(NEW_OBJECTS + 1)]

    assert freed() is None
    assert kept
