"""The account of a home is reused, and gets credits again when they run out."""

from uuid import UUID

from cli.accounts import add_key, create_account, reopen_account
from models.account import Account
from models.database import Database
from models.queries import account_of_key
from pipeline.credits import grant


def balance(database: Database, account_id: UUID) -> int:
    with database.transaction() as session:
        return session.get_one(Account, account_id).credit_balance


def account_id_of(database: Database, key: str) -> UUID | None:
    with database.transaction() as session:
        account = account_of_key(session, key)
        return account.id if account else None


def test_a_known_key_opens_its_account_with_enough_credits(database: Database) -> None:
    poor, rich = create_account(database, "local", 10), create_account(database, "local", 900)

    assert all(reopen_account(database, each.api_key, 500) for each in (poor, rich))
    assert not reopen_account(database, "growth_of_another_database", 500)

    assert (balance(database, poor.account_id), balance(database, rich.account_id)) == (500, 900)


def test_a_lost_key_is_replaced_by_another_one_to_the_same_account(database: Database) -> None:
    assert add_key(database, "local", 500) is None
    create_account(database, "other", 10)
    account = create_account(database, "local", 10)
    with database.transaction() as session:
        grant(session, account.account_id, 5)

    key = add_key(database, "local", 500)

    assert key
    assert account_id_of(database, key) == account_id_of(database, account.api_key) == account.account_id
    assert balance(database, account.account_id) == 500
