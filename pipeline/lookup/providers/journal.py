"""The journal of paid questions, which keeps chunk tasks from paying twice for the same question.

A chunk task first reads what is known (`recall`). It then writes the question (`reserve`), sends it, and writes the
answer (`record`) before it uses it. A question that was certainly not charged is removed again (`retract`).
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from pipeline.lookup.providers.source import Found, NotFound


@dataclass(frozen=True, slots=True)
class Question:
    """One question to one source about the person with this `digest`.

    After `dead_after` seconds without an answer, the chunk task that asked must have died. `may_ask_again` says whether
    the question is repeated then, which may cost `again_costs` in addition.
    """

    source: str
    digest: bytes
    price: Decimal
    dead_after: float
    may_ask_again: bool
    again_costs: Decimal


@dataclass(frozen=True, slots=True)
class Pending:
    """Another chunk task is asking; if it has died, this is known after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Lost:
    """The question was sent, perhaps charged, and its answer lost; the terms do not allow asking again."""


@dataclass(frozen=True, slots=True)
class OverBudget:
    """The question costs more than the budget of its run, or of its account for the day, has left."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """The question is written and may be sent. `at` is the token to retract it with."""

    at: datetime


Known = Found | NotFound | Pending | Lost


class Journal(Protocol):
    """A durable journal, shared by all chunk tasks of all runs of one account."""

    async def recall(self, question: Question) -> Known | None:
        """Return what is known; None if the question may be asked."""
        ...

    async def reserve(self, question: Question) -> Known | OverBudget | Reserved:
        """Write the question, unless its answer is known or another chunk task is asking."""
        ...

    async def record(self, question: Question, answer: Found | NotFound) -> None:
        """Write the answer; its cost replaces the price that was reserved."""
        ...

    async def retract(self, question: Question, reserved: Reserved) -> None:
        """Remove a question that was not charged, so that any chunk task may ask it."""
        ...


class NoJournal:
    """The journal for runs without paid sources."""

    async def recall(self, question: Question) -> Known | None:
        """Raise RuntimeError: a paid source needs a journal."""
        raise RuntimeError(f"source {question.source} is paid, and is asked without a journal")

    async def reserve(self, question: Question) -> Known | OverBudget | Reserved:
        """Raise RuntimeError: a paid source needs a journal."""
        raise RuntimeError(f"source {question.source} is paid, and is asked without a journal")

    async def record(self, question: Question, answer: Found | NotFound) -> None:
        """Do nothing: nothing was reserved."""

    async def retract(self, question: Question, reserved: Reserved) -> None:
        """Do nothing: nothing was reserved."""
