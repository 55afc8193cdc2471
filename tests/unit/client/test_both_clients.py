"""The two clients have the same methods with the same parameters and the same words."""

import inspect

import pytest

from growth_client import AsyncGrowthClient, GrowthClient

METHODS = sorted(name for name, _ in inspect.getmembers(GrowthClient, inspect.isfunction) if name[0] != "_")


def test_no_method_is_missing_in_either() -> None:
    assert (
        sorted(name for name, _ in inspect.getmembers(AsyncGrowthClient, inspect.isfunction) if name[0] != "_")
        == METHODS
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_the_same_in_both(name: str) -> None:
    one, other = getattr(GrowthClient, name), getattr(AsyncGrowthClient, name)

    assert list(inspect.signature(one).parameters.values()) == list(inspect.signature(other).parameters.values())
    assert inspect.getdoc(one) == inspect.getdoc(other)
