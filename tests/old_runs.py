"""Runs that ended long ago, with everything that a run leaves behind: rows, export files, the copy in Redis."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.account import Account
from models.database import Database
from models.partitions import PARTITIONED, first_id
from models.queries import first_results
from models.run import Run
from models.run_chunk import COMPILE
from models.schema import new_id
from models.tables import Base
from models.transitions import RunError
from models.wire import ContactIn
from pipeline.credits import RateCard
from pipeline.mail.network import MailNetwork
from pipeline.results import stored_files
from pipeline.results.exports import put_in_place, write_exports
from pipeline.results.rows import Table
from pipeline.results.wanted import exports_in
from pipeline.runs import lifecycle, live_state
from pipeline.runs.create import create_run
from pipeline.storage import Storage, open_storage
from settings import Settings
from settings.mail import mail_network_config
from tests.factories import (
    LOOKUP,
    VERIFY,
    WORKER,
    account,
    finish_chunk,
    found,
    leased_chunk,
    order_of,
    owner_of,
    valid,
)
from tests.live_copies import live_copy
from worker.at_work import AtWork
from worker.event_loop import Heart, start_loop, stop_loop
from worker.export import export_stopped_run
from worker.process import Process
from worker.sweeper.expire import Expirer

PERSONAL = ("Given", "Family", "given.family", "private_column", "private value")
"""The texts by which personal data of these runs is found."""
RETENTION_DAYS = 90
OLD_DAYS = RETENTION_DAYS + 1


@dataclass(frozen=True)
class OldRuns:
    """Makes runs that ended long ago, in a real Postgres, Valkey and directory, and what expires them."""

    database: Database
    redis: redis.Redis
    exports: Path
    url: str = ""
    """Of a bucket for export files, instead of the directory."""

    @property
    def settings(self) -> Settings:
        return Settings(export_dir=self.exports, export_storage=self.url, retention_days=RETENTION_DAYS)

    @property
    def storage(self) -> Storage:
        return open_storage(self.url, self.exports)

    def expirer(self, database: Database | None = None, server: redis.Redis | None = None) -> Expirer:
        opened = (database or self.database, server or self.redis, self.storage)
        return Expirer(self.settings, *opened, threading.Event())

    def completed_run(self, count: int = 3, days_ago: float = OLD_DAYS) -> UUID:
        run_id = self._worked_run(count)
        self._work(run_id, VERIFY, [valid(n) for n in range(count)])
        with self.database.transaction() as session:
            lifecycle.begin_stage(session, run_id, COMPILE, WORKER, count)
        lease = leased_chunk(self.database, run_id, COMPILE)
        with self.database.transaction() as session:
            rows = first_results(session, run_id, count, LOOKUP, VERIFY)
            wanted, table = exports_in(["csv", "json"]), Table(["private_column"])
            exports = write_exports(self.storage, run_id, wanted, table, [rows], partial(self._intend, run_id))
            lifecycle.complete(session, lease, exports)
            put_in_place(session, self.storage, run_id, exports)
        return self._ended(run_id, days_ago)

    def stopped_run(self, status: str, count: int = 3, days_ago: float = OLD_DAYS) -> UUID:
        """Failed or cancelled after its first stage, its exports written."""
        run_id = self.unexported_run(status, count, days_ago)
        self.export(run_id)
        self.publish(run_id)
        return run_id

    def unexported_run(self, status: str, count: int = 3, days_ago: float = OLD_DAYS) -> UUID:
        """Failed or cancelled after its first stage, its exports not yet written."""
        run_id = self._worked_run(count)
        with self.database.transaction() as session:
            if status == "failed":
                lifecycle.fail(session, run_id, RunError("run_time_limit", "The run took longer than 48 hours.", None))
            else:
                lifecycle.cancel(session, owner_of(self.database, run_id), run_id)
        return self._ended(run_id, days_ago)

    def finished_run(self, status: str) -> UUID:
        return self.completed_run() if status == "completed" else self.stopped_run(status)

    def export(self, run_id: UUID, database: Database | None = None) -> None:
        """As the worker's task does."""
        with self.process(database) as process:
            export_stopped_run(process, run_id, WORKER)

    @contextmanager
    def process(self, database: Database | None = None) -> Iterator[Process]:
        """What tasks work with."""
        network = MailNetwork(mail_network_config(self.settings))
        loop = start_loop()
        opened = database or self.database
        try:
            services = (opened, self.redis, self.storage, network)
            yield Process(self.settings, *services, loop, threading.Event(), AtWork(400), Heart(loop))
        finally:
            asyncio.run_coroutine_threadsafe(network.close(), loop).result()
            stop_loop(loop)

    def state(self, run_id: UUID) -> dict[str, Any]:
        """The status response, as readers see it: the copy in Redis if it is good, or what the rows say."""
        with self.database.transaction() as session:
            run = session.get_one(Run, run_id)
            body = live_copy(self.redis, run) or live_state.build(session, run).body
        state: dict[str, Any] = json.loads(body)
        return state

    def publish(self, run_id: UUID) -> live_state.LiveState:
        with self.database.transaction() as session:
            state = live_state.build(session, session.get_one(Run, run_id))
        live_state.store(self.redis, state, live_seconds=30)
        return state

    def files(self) -> list[Path]:
        return sorted(path.relative_to(self.exports) for path in self.exports.rglob("*"))

    def _intend(self, run_id: UUID, keys: Sequence[str]) -> None:
        with self.database.transaction() as session:
            stored_files.intend(session, run_id, keys)

    def _worked_run(self, count: int) -> UUID:
        people = [
            ContactIn.model_validate(
                {"first_name": f"Given{n}", "last_name": f"Family{n}", "domain": "alpha.test"}
                | {"private_column": "private value"}
            )
            for n in range(count)
        ]
        owner = account(self.database, credits_granted=4 * count).account_id
        with self.database.transaction() as session:
            run_id = create_run(session, owner, order_of(people, preview_rows=2), rate_card=RateCard()).run_id
        self._work(run_id, LOOKUP, [found(n) for n in range(count)])
        return run_id

    def _work(self, run_id: UUID, stage: str, outcomes: Sequence[Any]) -> None:
        with self.database.transaction() as session:
            lifecycle.begin_stage(session, run_id, stage, WORKER, len(outcomes))
        finish_chunk(self.database, leased_chunk(self.database, run_id, stage), outcomes)

    def _ended(self, run_id: UUID, days_ago: float) -> UUID:
        with self.database.transaction() as session:
            session.execute(
                text("UPDATE runs SET finished_at = now() - make_interval(secs => 86400 * :days) WHERE id = :id"),
                {"days": days_ago, "id": run_id},
            )
        self.publish(run_id)
        return run_id


@pytest.fixture
def old_runs(database: Database, redis_client: redis.Redis, tmp_path: Path) -> OldRuns:
    return OldRuns(database, redis_client, tmp_path / "exports")


def add_answer(session: Session, run_id: UUID, days_ago: float, number: int = 0) -> None:
    """Insert a provider's answer to a question of a run."""
    session.execute(
        text("""
        INSERT INTO provider_answers (account_id, provider, question, run_id, asked_at, answered_at, status, email)
        SELECT account_id, 'example', sha256(CAST(:number AS text)::bytea), id,
               now() - make_interval(secs => 86400 * :days), now(), 'found', 'given.family@alpha.test'
        FROM runs WHERE id = :run_id
        """),
        {"run_id": run_id, "days": days_ago, "number": number},
    )


def all_rows(database: Database) -> str:
    """Everything that the database holds, as text."""
    with database.transaction() as session:
        return "\n".join(
            row
            for table in Base.metadata.sorted_tables
            for row in session.scalars(text(f"SELECT t::text FROM {table.name} t"))
        )


def all_copies(server: redis.Redis) -> str:
    """Everything that Redis holds, as text."""
    keys: Any = server.keys("growth:run:*")
    return "\n".join(str(server.hgetall(key)) for key in keys)


def personal_in(held: str) -> list[str]:
    return [words for words in PERSONAL if words in held]


def rows_of(database: Database, run_id: UUID) -> dict[str, int]:
    """How many rows each table holds of a run."""
    tables = [table.name for table in Base.metadata.sorted_tables if "run_id" in table.c]
    with database.transaction() as session:
        counts = {
            name: session.execute(text(f"SELECT count(*) FROM {name} WHERE run_id = :id"), {"id": run_id}).scalar_one()
            for name in tables
        }
    return {name: int(rows) for name, rows in counts.items() if rows}


def balances(database: Database) -> list[int]:
    with database.transaction() as session:
        return list(session.scalars(select(Account.credit_balance).order_by(Account.id)))


class Killed(BaseException):
    """The process dies here."""


class DoomedDatabase(Database):
    """The process that uses it is killed at its transaction number `at`: before, inside, or just after the commit."""

    def __init__(self, database: Database, at: int, moment: str) -> None:
        super().__init__(database.engine)
        self._left, self._moment = at, moment

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        self._left -= 1
        is_last = self._left < 0
        if is_last and self._moment == "before":
            raise Killed
        with super().transaction() as session:
            yield session
            if is_last and self._moment == "inside":
                raise Killed
        if is_last:
            raise Killed


class OvertakenDatabase(Database):
    """Something else happens before its second transaction, or before the one with the number `at`."""

    def __init__(self, database: Database, overtake: Callable[[], object], at: int = 2) -> None:
        super().__init__(database.engine)
        self._begun, self._overtake, self._at = 0, overtake, at

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        self._begun += 1
        if self._begun == self._at:
            self._overtake()
        with super().transaction() as session:
            yield session


@contextmanager
def clock_shows(time: datetime) -> Iterator[None]:
    """Runs are created as by a client whose clock shows this time. Only their ids tell it: Postgres has its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.runs.create.new_id", lambda: id_made_at(time))
        yield


def id_made_at(time: datetime) -> UUID:
    """A UUIDv7 of this time."""
    return UUID(int=first_id(time).int | new_id().int & ((1 << 80) - 1))


def homes_of(database: Database, run_id: UUID) -> set[str]:
    """The partitions in which there is something of a run."""
    with database.transaction() as session:
        return {
            home.removeprefix(f"{table}_")
            for table in PARTITIONED
            for home in session.scalars(
                text(f"SELECT DISTINCT tableoid::regclass::text FROM {table} WHERE run_id = :run_id"),
                {"run_id": run_id},
            )
        }
