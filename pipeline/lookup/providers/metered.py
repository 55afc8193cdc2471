"""Asks a paid source: with a rate limit, a circuit breaker, and every question in the journal.

A question is in the journal before it is sent, and is never sent again once its answer is in the journal. In between,
the answer can be lost: by a crash, a time-out, or a response that can not be read. Only if the terms allow it, the
question is then sent again, with the same idempotency key.
"""

import asyncio
import hashlib
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from pipeline.lookup.providers.breaker import CircuitBreaker
from pipeline.lookup.providers.journal import Journal, Lost, OverBudget, Pending, Question, Reserved
from pipeline.lookup.providers.pace import Pace, TooBusy
from pipeline.lookup.providers.source import AskLater, Found, NotFound, Person, Reply, Source, Terms, Unusable
from pipeline.outcomes import Reason

log = logging.getLogger(__name__)

PATIENCE = 15.0
"""The most seconds to wait for a turn or for another chunk task's answer; for longer, the contact is deferred."""
SHORT_WAIT = 5.0
"""A `Retry-After` of up to so many seconds is waited out, once."""
RETRY_PAUSE = 1.0
"""Seconds between a failure that cost nothing and the second attempt."""
LONGEST_WAIT = 3600.0
"""The longest `Retry-After`, in seconds, for which a contact is deferred; for longer, it does without the source."""
UNUSABLE_FOR = 300.0
"""Seconds until a source that rejected our key, or had no credit left, is tried again."""
WRITING = 5.0
"""Seconds beyond its time limit that a chunk task may need to write an answer."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The source gave no answer, for this reason. `wait` is the number of seconds until it may, if known.

    `ours` says that the person waits for our own rate limit or another chunk task of ours, so that their turn will
    come. `at_once` says that the attempt cost nothing and may be repeated shortly.
    """

    reason: Reason
    wait: float | None = None
    ours: bool = False
    at_once: bool = False

    @property
    def is_temporary(self) -> bool:
        """Whether the source may answer later without anybody's intervention."""
        return self.reason is Reason.PROVIDER_UNAVAILABLE


StepResult = Found | NotFound | Unanswered


class Metered:
    """One paid source. `landing` is how long a request in flight may still take when its chunk task must stop."""

    is_free = False

    def __init__(
        self, name: str, source: Source, terms: Terms, landing: float = 4.0, breaker: CircuitBreaker | None = None
    ) -> None:
        self.name = name
        self.breaker = breaker or CircuitBreaker()
        self._source = source
        self._terms = terms
        self._landing = landing
        self._pace = Pace(terms.at_once, terms.per_second)

    async def ask(self, person: Person, journal: Journal, left: Decimal | None) -> StepResult | None:
        """Ask about a person on whom `left` may be spent; None if too little is known about them."""
        if not self._source.knows_about(person):
            return None
        question = self._question(person)
        result = await self._ask_once(person, question, journal, left)
        if isinstance(result, Unanswered) and result.at_once:
            await asyncio.sleep(RETRY_PAUSE if result.ours or result.wait is None else result.wait)
            result = await self._ask_once(person, question, journal, left)
        return result

    async def close(self) -> None:
        await self._source.close()

    def _question(self, person: Person) -> Question:
        terms = self._terms
        return Question(
            self.name,
            person.digest,
            terms.price,
            dead_after=terms.timeout + WRITING,
            may_ask_again=terms.asks_again_in_doubt,
            again_costs=Decimal(0) if terms.repeats_are_free else terms.price,
        )

    async def _ask_once(self, person: Person, question: Question, journal: Journal, left: Decimal | None) -> StepResult:
        known = await self._recall(question, journal)
        if known is not None:
            return known
        if left is not None and question.price > left:
            return Unanswered(Reason.OUT_OF_BUDGET)
        if self.breaker.seconds > 0:
            return self._refused()
        try:
            async with self._pace.turn(PATIENCE):
                return await self._landed(self._ask_source(person, question, journal))
        except TooBusy as busy:
            return self._too_busy(busy)

    async def _recall(self, question: Question, journal: Journal) -> StepResult | None:
        """Return what the journal knows; waits for an answer that another chunk task is about to get."""
        waited, pause = 0.0, 0.1
        while isinstance(known := await journal.recall(question), Pending):
            if waited >= PATIENCE:
                return Unanswered(Reason.PROVIDER_UNAVAILABLE, known.seconds, ours=True)
            await asyncio.sleep(pause)
            waited, pause = waited + pause, min(2 * pause, 1.0)
        return Unanswered(Reason.ANSWER_LOST) if isinstance(known, Lost) else known

    async def _landed(self, work: Coroutine[Any, Any, StepResult]) -> StepResult:
        """Do the work; when the chunk task must stop, a request in flight gets `landing` seconds: it may be charged."""
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task}, timeout=self._landing)
            task.cancel()
            await asyncio.wait({task})
            raise

    async def _ask_source(self, person: Person, question: Question, journal: Journal) -> StepResult:
        if not self.breaker.enter():
            return self._refused()
        try:
            reserved = await journal.reserve(question)
            if not isinstance(reserved, Reserved):
                return _not_reserved(reserved)
            reply = await self._find(person, question)
            return await self._conclude(reply, question, reserved, journal)
        finally:
            self.breaker.leave()

    async def _find(self, person: Person, question: Question) -> Reply:
        key = hashlib.sha256(question.source.encode() + b"\0" + question.digest).hexdigest()[:32]
        try:
            return await self._source.find(person, key)
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything, and its text may contain the question
            log.error("source %s failed: %s", self.name, type(error).__name__)
            return AskLater(in_doubt=True)

    async def _conclude(self, reply: Reply, question: Question, reserved: Reserved, journal: Journal) -> StepResult:
        match reply:
            case Found() | NotFound():
                is_charged = isinstance(reply, Found) or self._terms.charges_not_found
                answer = replace(reply, cost=question.price if is_charged else Decimal(0))
                await journal.record(question, answer)
                self.breaker.succeeded()
                return answer
            case Unusable(reason):
                self.breaker.shut(UNUSABLE_FOR, reason)
                log.error("source %s can't be used: %s", self.name, reason)
                await journal.retract(question, reserved)
                return Unanswered(reason)
            case AskLater(in_doubt=True):
                self.breaker.failed()
                return self._doubtful()
            case AskLater(seconds):
                await journal.retract(question, reserved)
                return self._defer(seconds)

    def _doubtful(self) -> Unanswered:
        """Leave the question in the journal, as if the chunk task had died."""
        if not self._terms.asks_again_in_doubt:
            return Unanswered(Reason.ANSWER_LOST)
        return Unanswered(Reason.PROVIDER_UNAVAILABLE)

    def _defer(self, seconds: float | None) -> Unanswered:
        if seconds is None:
            self.breaker.failed()
            return Unanswered(Reason.PROVIDER_UNAVAILABLE, at_once=True)
        if seconds > LONGEST_WAIT:
            self.breaker.shut(LONGEST_WAIT, Reason.PROVIDER_UNAVAILABLE)
            return Unanswered(Reason.PROVIDER_UNAVAILABLE)
        self._pace.hold(seconds)
        return Unanswered(Reason.PROVIDER_UNAVAILABLE, seconds, at_once=seconds <= SHORT_WAIT)

    def _refused(self) -> Unanswered:
        return Unanswered(self.breaker.reason)

    def _too_busy(self, busy: TooBusy) -> Unanswered:
        return Unanswered(Reason.PROVIDER_UNAVAILABLE, busy.seconds, ours=busy.ours)


def _not_reserved(known: Found | NotFound | Pending | Lost | OverBudget) -> StepResult:
    match known:
        case Found() | NotFound():
            return known
        case Pending(seconds):
            return Unanswered(Reason.PROVIDER_UNAVAILABLE, seconds, ours=True, at_once=True)
        case Lost():
            return Unanswered(Reason.ANSWER_LOST)
        case OverBudget():
            return Unanswered(Reason.OUT_OF_BUDGET)
