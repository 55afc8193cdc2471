"""A run's journal of paid questions, for a chunk task: asyncio outside, short transactions in a thread inside.

While one transaction is under way, what comes meanwhile is gathered for the next: the more there is to write, the more
of it goes into one transaction, and a single question never waits for company.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from models.database import Database
from models.postgres_errors import PostgresUnavailable
from pipeline.lookup.providers.journal import Known, OverBudget, Question, Reserved
from pipeline.lookup.providers.source import Found, NotFound
from pipeline.memory import provider_answers
from pipeline.memory.provider_answers import Caps
from pipeline.privacy import suppressions

log = logging.getLogger(__name__)

POSTGRES_AWAY = 0.5
"""Seconds between attempts while Postgres is away: an answer that was paid is not dropped for that."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One thing to do in the next transaction, and who waits for what comes of it."""

    kind: str
    arguments: tuple[Any, ...]
    done: "asyncio.Future[Any]"


class PostgresJournal:
    """The journal of one run's chunk task; to be used from one event loop."""

    def __init__(self, database: Database, run_id: UUID, caps: Caps) -> None:
        self._database = database
        self._run_id = run_id
        self._caps = caps
        self._waiting: list[_Entry] = []
        self._writer: asyncio.Task[None] | None = None

    async def recall(self, question: Question) -> Known | None:
        """Read what is known; None if the question is free to be asked."""
        known: Known | None = await self._enter("recall", question)
        return known

    async def reserve(self, question: Question) -> Known | OverBudget | Reserved:
        """Write the question down, unless somebody knows more."""
        said: Known | OverBudget | Reserved = await self._enter("reserve", question)
        return said

    async def record(self, question: Question, answer: Found | NotFound) -> None:
        """Write the answer down."""
        await self._enter("record", question, answer)

    async def retract(self, question: Question, reserved: Reserved) -> None:
        """Take back a question that was not served."""
        await self._enter("retract", question, reserved)

    async def _enter(self, kind: str, *arguments: Any) -> Any:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Entry(kind, arguments, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await done

    async def _write(self) -> None:
        while self._waiting:
            entries, self._waiting = self._waiting, []
            try:
                results = await self._retry_commit(entries)
            except Exception as error:  # noqa: BLE001 - it is raised again where each entry is waited for
                _fail(entries, error)
                continue
            for entry, result in zip(entries, results, strict=True):
                if not entry.done.done():
                    entry.done.set_result(result)

    async def _retry_commit(self, entries: list[_Entry]) -> list[Any]:
        while True:
            try:
                return await asyncio.to_thread(self._transact, entries)
            except PostgresUnavailable as error:
                log.warning("run %s: paid answers not written yet: %s", self._run_id, error)
                await asyncio.sleep(POSTGRES_AWAY)

    def _transact(self, entries: list[_Entry]) -> list[Any]:
        """Answers first: who asks in the same transaction already sees them."""
        with self._database.transaction() as session:
            account_id = provider_answers.account_of_run(session, self._run_id)
            if any(entry.kind != "recall" for entry in entries):
                provider_answers.lock_journal(session, account_id)
            for entry in entries:
                self._note(session, account_id, entry)
            recalled = iter(provider_answers.recall(session, account_id, _questions(entries, "recall")))
            asked = _questions(entries, "reserve")
            reserved = iter(
                provider_answers.reserve(session, account_id, self._run_id, asked, self._caps) if asked else ()
            )
        said = {"recall": recalled, "reserve": reserved}
        return [next(said[entry.kind]) if entry.kind in said else None for entry in entries]

    def _note(self, session: Session, account_id: UUID, entry: _Entry) -> None:
        if entry.kind == "record":
            question, answer = entry.arguments
            if isinstance(answer, Found) and suppressions.hides(session, account_id, question.digest, answer.email):
                # It was paid, and is not kept: on the list since, or not known by this address before.
                answer = NotFound(cost=answer.cost)
            provider_answers.record(session, account_id, self._run_id, question, answer)
        elif entry.kind == "retract":
            provider_answers.retract(session, account_id, *entry.arguments)


def _questions(entries: list[_Entry], kind: str) -> list[Question]:
    return [entry.arguments[0] for entry in entries if entry.kind == kind]


def _fail(entries: list[_Entry], error: Exception) -> None:
    for entry in entries:
        if not entry.done.done():
            entry.done.set_exception(error)
