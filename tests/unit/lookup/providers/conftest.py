"""A provider that knows two people."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.database import Database
from sandbox.provider import Provider
from tests.factories import pending_run
from tests.unit.lookup.providers.asking import ADDRESSES, Desk, desk


@pytest.fixture
def office(tmp_path: Path, database: Database) -> Iterator[Desk]:
    """A provider that charges each request."""
    with desk(tmp_path, database, pending_run(database)) as opened:
        yield opened


@pytest.fixture
def idempotent_office(tmp_path: Path, database: Database) -> Iterator[Desk]:
    """A provider that charges each key once."""
    provider = Provider(ADDRESSES, recognises_keys=True)
    with desk(tmp_path, database, pending_run(database), provider) as opened:
        opened.describe('idempotency_header = "Idempotency-Key"')
        yield opened
