"""Runs that pay a provider which knows two people."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.database import Database
from sandbox.provider import Provider
from tests.factories import pending_run
from tests.unit.lookup.providers.asking import ADDRESSES, PayingRun, opened_paying_run


@pytest.fixture
def paying_run(tmp_path: Path, database: Database) -> Iterator[PayingRun]:
    """Its provider charges each request."""
    with opened_paying_run(tmp_path, database, pending_run(database)) as opened:
        yield opened


@pytest.fixture
def run_with_keys(tmp_path: Path, database: Database) -> Iterator[PayingRun]:
    """Its provider charges each idempotency key once."""
    provider = Provider(ADDRESSES, recognises_keys=True)
    with opened_paying_run(tmp_path, database, pending_run(database), provider) as opened:
        opened.describe('idempotency_header = "Idempotency-Key"')
        yield opened
