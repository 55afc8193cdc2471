"""The journal of paid questions: what a chunk task writes before it asks, and what any other chunk task then knows.

Everybody who wants to ask first reads (`recall`), then writes the question (`reserve`), asks, and writes the answer
(`record`) before anything else happens with it. A question that was certainly not served is taken back (`retract`).
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from pipeline.lookup.providers.source import Found, NotFound


@dataclass(frozen=True, slots=True)
class Question:
    """One question to one source. `digest` says about whom, to those who know already.

    `dead_after`: seconds after which an asker without an answer must have died. `may_ask_again`: what happens then.
    `again_costs`: what asking again may cost, on top of what the first time may have cost.
    """

    source: str
    digest: bytes
    price: Decimal
    dead_after: float
    may_ask_again: bool
    again_costs: Decimal


@dataclass(frozen=True, slots=True)
class Pending:
    """Another chunk task is asking just now; it is alive for `seconds` at most."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Lost:
    """It was asked, perhaps paid, and the answer was lost; the terms do not allow to ask again."""


@dataclass(frozen=True, slots=True)
class OverBudget:
    """The question would cost more than the budget of its run or of its account's day has left."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """The question is written down and ours to ask. `at` is the token to take it back with."""

    at: datetime


Known = Found | NotFound | Pending | Lost


class Journal(Protocol):
    """Durable, and shared by all chunk tasks of all runs of one account."""

    async def recall(self, question: Question) -> Known | None:
        """Read what is known; None if the question is free to be asked."""
        ...

    async def reserve(self, question: Question) -> Known | OverBudget | Reserved:
        """Write the question down, unless somebody knows more."""
        ...

    async def record(self, question: Question, answer: Found | NotFound) -> None:
        """Write the answer down; `answer.cost` replaces the price that was reserved."""
        ...

    async def retract(self, question: Question, reserved: Reserved) -> None:
        """Take back a question that was not served: it cost nothing, and anyone may ask it."""
        ...


class NoJournal:
    """Where nothing is paid: to ask for it is a fault."""

    async def recall(self, question: Question) -> Known | None:
        """Raise: a paid source needs a journal."""
        raise RuntimeError(f"source {question.source} is paid, and is asked without a journal")

    async def reserve(self, question: Question) -> Known | OverBudget | Reserved:
        """Raise, as `recall`."""
        raise RuntimeError(f"source {question.source} is paid, and is asked without a journal")

    async def record(self, question: Question, answer: Found | NotFound) -> None:
        """Nothing was reserved."""

    async def retract(self, question: Question, reserved: Reserved) -> None:
        """Nothing was reserved."""
