"""What operators do with accounts and the ledger, as they type it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from models.database import Database
from tests.factories import pending_run

Growth = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def growth(database_url: str, tmp_path: Path) -> Growth:
    environment = {**os.environ, "DATABASE_URL": database_url, "GROWTH_HOME": str(tmp_path), "COLUMNS": "160"}

    def run(*arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", "from cli.main import main; main()", *arguments]
        return subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, timeout=60)

    return run


def test_a_ledger_that_balances_is_proved_with_its_sums(growth: Growth, database: Database, owner: UUID) -> None:
    pending_run(database, 3, owner)

    done = growth("ledger", "check")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "2 entries: 10000 credits were issued. Accounts have 9988, runs hold 12, 0 are earned. Providers cost 0.\n"
        "All sums agree.\n"
    )


def test_a_ledger_that_does_not_balance_names_the_account_and_fails(
    growth: Growth, database: Database, owner: UUID
) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE accounts SET credit_balance = credit_balance + 1"))

    done = growth("ledger", "check")

    assert done.returncode == 1
    assert f"account {owner}: its balance is 10001, and its entries sum to 10000." in done.stderr
    assert "Sums that do not agree: 1." in done.stderr
