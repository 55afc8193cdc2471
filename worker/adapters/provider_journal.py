"""A run's journal of paid questions, for a chunk task.

While one transaction is in flight, entries are collected for the next one. So transactions grow with the load, and a
single question is never delayed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from models.database import Database
from pipeline.lookup.providers.journal import Known, OverBudget, Question, Reserved
from pipeline.lookup.providers.source import Found, NotFound
from pipeline.mail.caching.coalescer import Coalescer
from pipeline.memory import provider_answers
from pipeline.memory.provider_answers import Caps
from pipeline.privacy import suppressions
from worker.adapters.transactions import transact_in_thread


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of the next transaction."""

    kind: str
    arguments: tuple[Any, ...]


class PostgresJournal:
    """The journal of one run's chunk task. Used from one event loop."""

    def __init__(self, database: Database, run_id: UUID, caps: Caps) -> None:
        self._database = database
        self._run_id = run_id
        self._caps = caps
        self._entries: Coalescer[_Entry, Any] = Coalescer(self._transact)

    async def recall(self, question: Question) -> Known | None:
        """What is known of a question; none if it may be asked."""
        known: Known | None = await self._entries.submit(_Entry("recall", (question,)))
        return known

    async def reserve(self, question: Question) -> Known | OverBudget | Reserved:
        """Record that the question is being asked, unless more is known."""
        answer: Known | OverBudget | Reserved = await self._entries.submit(_Entry("reserve", (question,)))
        return answer

    async def record(self, question: Question, answer: Found | NotFound) -> None:
        """Record the answer."""
        await self._entries.submit(
            _Entry(
                "record",
                (
                    question,
                    answer,
                ),
            )
        )

    async def retract(self, question: Question, reserved: Reserved) -> None:
        """Remove a question that was not asked after all."""
        await self._entries.submit(
            _Entry(
                "retract",
                (
                    question,
                    reserved,
                ),
            )
        )

    async def _transact(self, entries: Sequence[_Entry]) -> Sequence[Any]:
        write = partial(self._write, entries)
        return await transact_in_thread(self._database, f"run {self._run_id}, journal", write)

    def _write(self, entries: Sequence[_Entry], session: Session) -> list[Any]:
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


def _questions(entries: Sequence[_Entry], kind: str) -> list[Question]:
    return [entry.arguments[0] for entry in entries if entry.kind == kind]
