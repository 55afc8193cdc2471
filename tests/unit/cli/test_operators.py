"""What operators do with accounts and the ledger, as they type it."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from models.database import Database
from models.queries import account_of_key
from tests.factories import account, pending_run
from tests.growth_command import run_growth

Growth = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def growth(database_url: str, tmp_path: Path) -> Growth:
    environment = {**os.environ, "DATABASE_URL": database_url, "GROWTH_HOME": str(tmp_path), "COLUMNS": "160"}

    return partial(run_growth, env=environment)


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


def test_accounts_are_listed_with_what_they_have_and_hold(growth: Growth, database: Database) -> None:
    first, second = account(database, 100), account(database, 50)
    pending_run(database, 3, second.account_id)

    shown = json.loads(growth("account", "list", "--json").stdout)
    table = growth("account", "list").stdout.splitlines()

    assert [(each["id"], each["status"], each["balance"], each["held"], each["keys"]) for each in shown] == [
        (str(first.account_id), "active", 100, 0, 1),
        (str(second.account_id), "active", 38, 12, 1),
    ]
    assert table[0].split() == ["account", "name", "status", "balance", "held", "keys"]
    assert table[2].split() == [str(second.account_id), "Example", "Account", "active", "38", "12", "1"]


def test_credits_are_added_to_the_account_that_is_named(growth: Growth, database: Database, owner: UUID) -> None:
    done = growth("account", "top-up", "Example Account", "25")

    assert done.stdout == "25 credits were added: the balance is 10025, and runs hold 0.\n"
    assert growth("ledger", "check").returncode == 0
    assert growth("account", "top-up", str(owner), "0").returncode == 2


def test_a_name_of_several_accounts_or_of_none_is_refused(growth: Growth, database: Database) -> None:
    account(database)
    account(database)

    several, none = growth("account", "top-up", "Example Account", "1"), growth("account", "suspend", "Nobody Inc")

    assert (several.returncode, none.returncode) == (1, 1)
    assert "Several accounts are called Example Account" in several.stderr
    assert "There is no account Nobody Inc: `growth account list` shows all." in none.stderr


def test_an_account_is_suspended_and_resumed_however_often_it_is_asked_for(
    growth: Growth, database: Database, owner: UUID
) -> None:
    def status() -> str:
        with database.transaction() as session:
            return str(session.execute(text("SELECT subscription_status FROM accounts")).scalar_one())

    for command, expected in (("suspend", "suspended"), ("suspend", "suspended"), ("resume", "active")):
        assert growth("account", command, str(owner)).returncode == 0
        assert status() == expected


@pytest.mark.parametrize("command", ["suspend", "resume"])
def test_an_account_whose_subscription_has_ended_is_neither_suspended_nor_resumed(
    growth: Growth, database: Database, owner: UUID, command: str
) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE accounts SET subscription_status = 'ended'"))

    done = growth("account", command, str(owner))

    assert done.returncode == 1
    assert "This account is ended" in done.stderr


def test_a_key_is_created_listed_and_revoked(growth: Growth, database: Database, owner: UUID) -> None:
    key = growth("account", "keys", "create", str(owner)).stdout.split()[-1]
    newest = json.loads(growth("account", "keys", "list", str(owner), "--json").stdout)[-1]

    def is_valid() -> bool:
        with database.transaction() as session:
            return account_of_key(session, key) is not None

    assert is_valid()
    assert newest["revoked_at"] is None
    assert growth("account", "keys", "revoke", newest["id"]).stdout == "The key is revoked.\n"
    assert not is_valid()
    assert growth("account", "keys", "revoke", newest["id"]).stdout == "The key was revoked before.\n"
    listed = growth("account", "keys", "list", str(owner)).stdout
    assert re.search(rf"{newest['id']} +20\S+ \S+ +20", listed)
    assert key not in listed


@pytest.mark.parametrize("key_id", ["growth_secret", "01a20e47-6abb-7630-81f0-c3892716d281"])
def test_a_key_that_is_unknown_is_not_repeated(growth: Growth, database: Database, key_id: str) -> None:
    done = growth("account", "keys", "revoke", key_id)

    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no key with this id" in done.stderr
    assert key_id not in done.stderr
