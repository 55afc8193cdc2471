"""One engine for all faults on a broker. Each test leaves it in working order."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import pgbouncer
from tests.faults.engine import Broker, FaultEngine, Route, running_fault_engine
from tests.rabbitmq import IS_INSTALLED, NOT_INSTALLED


@pytest.fixture(scope="module")
def fault_engine() -> Iterator[FaultEngine]:
    with _engine_on("redis") as engine:
        yield engine


@pytest.fixture(scope="module")
def rabbitmq_engine() -> Iterator[FaultEngine]:
    if not IS_INSTALLED:
        pytest.skip(NOT_INSTALLED)
    with _engine_on("rabbitmq") as engine:
        yield engine


@pytest.fixture(scope="module")
def pgbouncer_engine() -> Iterator[FaultEngine]:
    if not pgbouncer.IS_INSTALLED:
        pytest.skip(pgbouncer.NOT_INSTALLED)
    with _engine_on("redis", "pgbouncer") as engine:
        yield engine


@contextmanager
def _engine_on(broker: Broker, route: Route = "direct") -> Iterator[FaultEngine]:
    """Not in pytest's own temporary directory: it deletes those of other sessions, with servers still in them."""
    with (
        tempfile.TemporaryDirectory(prefix="growth-faults-", ignore_cleanup_errors=True) as home,
        running_fault_engine(Path(home), broker, route) as engine,
    ):
        yield engine
