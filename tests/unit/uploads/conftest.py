from tests.old_runs import old_runs

__all__ = ["old_runs"]
