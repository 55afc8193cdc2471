"""What stands around each page: the account's name and balance, and the engine's release."""

from functools import cache
from importlib.metadata import version
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from models.account import Account


class Frame(NamedTuple):
    """The header and the footer."""

    name: str
    balance: int
    version: str
    is_operator: bool


def frame_of(session: Session, account_id: UUID) -> Frame:
    """The frame of an account's pages."""
    account = session.get_one(Account, account_id, populate_existing=True)
    return Frame(account.name, account.credit_balance, _release(), account.is_operator)


@cache
def _release() -> str:
    return version("growth-engine")
