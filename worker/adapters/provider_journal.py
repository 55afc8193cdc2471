"""A run's journal of paid questions, for a chunk task.

While one transaction is in flight, entries are collected for the next one. So transactions grow with the load, and a
single question is never delayed.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from models.database import Database
from pipeline.lookup.providers.journal import Known, OverBudget, Question, Reserved
from pipeline.lookup.providers.source import Found, NotFound
from pipeline.memory import provider_answers
from pipeline.memory.provider_answers import Caps
from pipeline.privacy import suppressions
from worker.adapters.transactions import transact_in_thread


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of the next transaction, and the future of its result."""

    kind: str
    arguments: tuple[Any, ...]
    done: "asyncio.Future[Any]"


class PostgresJournal:
    """The journal of one run's chunk task. Used from one event loop."""

    def __init__(self, database: Database, run_id: UUID, caps: Caps) -> None:
        self._database = database
        self._run_id = run_id
        self._caps = caps
        self._waiting: list[_Entry] = []
        self._writer: asyncio.Task[None] | None = None

    async def recall(self, question: Question) -> Known | None:
        """What is known of a question; none if it may be asked."""
        known: Known | None = await self._enter("recall", question)
        return known

    async def reserve(self, question: Question) -> Known | OverBudget | Reserved:
        """Record that the question is being asked, unless more is known."""
        answer: Known | OverBudget | Reserved = await self._enter("reserve", question)
        return answer

    async def record(self, question: Question, answer: Found | NotFound) -> None:
        """Record the answer."""
        await self._enter("record", question, answer)

    async def retract(self, question: Question, reserved: Reserved) -> None:
        """Remove a question that was not asked after all."""
        await self._enter("retract", question, reserved)

    async def _enter(self, kind: str, *arguments: Any) -> Any:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Entry(kind, arguments, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        return await done

    async def _write_all(self) -> None:
        while self._waiting:
            entries, self._waiting = self._waiting, []
            try:
                results = await transact_in_thread(
                    self._database, f"run {self._run_id}, journal", partial(self._write, entries)
                )
            except Exception as error:  # noqa: BLE001 - raised again wherever an entry is awaited
                _fail(entries, error)
                continue
            for entry, result in zip(entries, results, strict=True):
                if not entry.done.done():
                    entry.done.set_result(result)

    def _write(self, entries: list[_Entry], session: Session) -> list[Any]:
        """Writes answers first: questions of the same transaction already see them."""
        account_id = provider_answers.account_of_run(session, self._run_id)
        if any(entry.kind != "recall" for entry in entries):
            provider_answers.lock_journal(session, account_id)
        for entry in entries:
            self._note(session, account_id, entry)
        recalled = iter(provider_answers.recall(session, account_id, _questions(entries, "recall")))
        asked = _questions(entries, "reserve")
        reserved = iter(provider_answers.reserve(session, account_id, self._run_id, asked, self._caps) if asked else ())
        results = {"recall": recalled, "reserve": reserved}
        return [next(results[entry.kind]) if entry.kind in results else None for entry in entries]

    def _note(self, session: Session, account_id: UUID, entry: _Entry) -> None:
        if entry.kind == "record":
            question, answer = entry.arguments
            if isinstance(answer, Found) and suppressions.hides(session, account_id, question.digest, answer.email):
                # The answer was paid for and is not kept: the address is on the suppression list.
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
