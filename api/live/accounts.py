"""Whose an API key or a browser is, remembered for a moment: a client that polls costs no statement each time."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from api.live.threads import Threads
from models.account import Account
from models.api_key import hash_api_key
from models.database import Database
from models.postgres_errors import PostgresUnavailable
from models.queries import account_of_key

SERVED_S = 2.0
"""How long a key is served after it was revoked, at most."""
RENEW_S = 1.0
"""A key that is in use is looked up again before that time is over, beside the requests."""
MOST_KEYS = 10_000

log = logging.getLogger(__name__)


class KnownAccount(NamedTuple):
    """An account, as its key last showed it."""

    id: UUID
    subscription_status: str
    is_operator: bool = False


class _Known(NamedTuple):
    account: KnownAccount | None
    at: float


class Accounts:
    """The accounts of API keys, or of what `find` finds accounts by. Used from the event loop only."""

    def __init__(
        self,
        database: Database,
        threads: Threads,
        find: Callable[[Session, str], Account | None] = account_of_key,
    ) -> None:
        self._database, self._threads, self._find = database, threads, find
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._looking: dict[bytes, asyncio.Task[KnownAccount | None]] = {}

    def fresh(self, key: str) -> KnownAccount | None:
        """The account of a key, if it is known well enough to wait for nobody."""
        digest = hash_api_key(key)
        known = self._known.get(digest)
        age = time.monotonic() - known.at if known else SERVED_S
        if known is None or age >= SERVED_S:
            return None
        if age >= RENEW_S:
            self._look_once(digest, key)
        return known.account

    async def of_key(self, key: str) -> KnownAccount | None:
        """The account of a key that is valid. Raises `PostgresUnavailable`."""
        digest = hash_api_key(key)
        known = self._known.get(digest)
        age = time.monotonic() - known.at if known else SERVED_S
        if known and age < RENEW_S:
            return known.account
        looking = self._look_once(digest, key)
        if known and age < SERVED_S:
            return known.account
        return await asyncio.shield(looking)

    def _look_once(self, digest: bytes, key: str) -> "asyncio.Task[KnownAccount | None]":
        """Look a key up; many requests that ask at once share one statement."""
        looking = self._looking.get(digest)
        if looking is None:
            looking = self._looking[digest] = asyncio.create_task(self._look(digest, key))
            looking.add_done_callback(lambda done: self._end(digest, done))
        return looking

    async def _look(self, digest: bytes, key: str) -> KnownAccount | None:
        asked_at = time.monotonic()
        account = await self._threads.run(self._read, key)
        self._known[digest] = _Known(account, asked_at)
        self._known.move_to_end(digest)
        while len(self._known) > MOST_KEYS:
            self._known.popitem(last=False)
        return account

    def _end(self, digest: bytes, looking: "asyncio.Task[KnownAccount | None]") -> None:
        del self._looking[digest]
        error = None if looking.cancelled() else looking.exception()
        if isinstance(error, PostgresUnavailable):
            log.warning("API keys are not looked up: Postgres is unavailable: %s", error)

    def _read(self, key: str) -> KnownAccount | None:
        with self._database.transaction() as session:
            account = self._find(session, key)
            return KnownAccount(account.id, account.subscription_status, account.is_operator) if account else None
