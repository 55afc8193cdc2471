"""A cache that forgets in time, and never grows without bound."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.mail.caching.ttl_cache import TtlCache


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_value_is_known_until_its_time_is_over() -> None:
    clock = Clock()
    cache: TtlCache[str, int] = TtlCache(10, clock)
    cache.put("a", 1, seconds=5)

    clock.now += 4.9
    assert cache.get("a") == 1
    clock.now += 0.1
    assert cache.get("a") is None


def test_a_value_without_a_lifetime_is_not_kept_and_replaces_the_old_one() -> None:
    cache: TtlCache[str, int] = TtlCache(10)
    cache.put("a", 1, seconds=5)

    cache.put("a", 2, seconds=0)

    assert cache.get("a") is None


def test_the_value_written_longest_ago_makes_room() -> None:
    cache: TtlCache[str, int] = TtlCache(2)
    for key in "abac":
        cache.put(key, 1, seconds=5)

    assert [cache.get(key) for key in "abc"] == [1, None, 1]


@given(st.lists(st.integers(0, 20)), st.integers(1, 5))
def test_it_never_holds_more_than_its_size(keys: list[int], size: int) -> None:
    cache: TtlCache[int, int] = TtlCache(size)
    for key in keys:
        cache.put(key, key, seconds=5)

    assert len(cache) == min(size, len(set(keys)))
