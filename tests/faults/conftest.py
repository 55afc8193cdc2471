"""One engine for all faults: each test leaves it whole."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.engine import FaultEngine, running_fault_engine


@pytest.fixture(scope="session")
def fault_engine() -> Iterator[FaultEngine]:
    """Not in pytest's own temporary directory: it deletes those of other sessions, with servers still in them."""
    with (
        tempfile.TemporaryDirectory(prefix="growth-faults-", ignore_cleanup_errors=True) as home,
        running_fault_engine(Path(home)) as engine,
    ):
        yield engine
