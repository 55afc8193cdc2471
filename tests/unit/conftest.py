"""Fixtures of many unit tests."""

from uuid import UUID

import pytest

from models.database import Database
from tests.factories import account


@pytest.fixture
def owner(database: Database) -> UUID:
    """The id of an account with credits."""
    return account(database).account_id
