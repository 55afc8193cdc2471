"""Runs that ended long ago, for the tests of this folder."""

from tests.old_runs import old_runs

__all__ = ["old_runs"]
