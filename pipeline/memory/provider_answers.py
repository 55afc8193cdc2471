"""The journal of paid questions in Postgres: questions, answers and costs.

Each account has its own. A writer locks the account's journal until its transaction ends, so that only one of two chunk
tasks asks a question, and no two spend the same rest of a budget. `asked_at` is the token of the chunk task that asks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.pauses import seconds
from models.provider_answer import ProviderAnswer
from models.run import Run
from pipeline.lookup.providers.journal import Known, Lost, OverBudget, Pending, Question, Reserved
from pipeline.lookup.providers.source import Found, NotFound

LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('provider_answers ' || CAST(:account AS text), 0))")

SPENT = text("""
SELECT (SELECT coalesce(sum(cost), 0) FROM provider_spending WHERE run_id = :run) AS run,
       (SELECT coalesce(sum(cost), 0) FROM provider_spending
        WHERE account_id = :account AND day = (now() AT TIME ZONE 'UTC')::date) AS day
""")


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that a run, and an account in a day (UTC), may spend. None is no limit."""

    per_run: Decimal | None = None
    per_account_day: Decimal | None = None


@dataclass(slots=True)
class _Rest:
    """The rest of the budgets."""

    run: Decimal | None
    day: Decimal | None

    def take(self, price: Decimal) -> bool:
        """Spend the price if the rest allows it; return whether it did."""
        if price and any(rest is not None and rest < price for rest in (self.run, self.day)):
            return False
        self.run = None if self.run is None else self.run - price
        self.day = None if self.day is None else self.day - price
        return True


def account_of_run(session: Session, run_id: UUID) -> UUID:
    """Return the account whose journal a run writes. Raises `sqlalchemy.exc.NoResultFound` for an unknown run."""
    return session.scalars(select(Run.account_id).where(Run.id == run_id)).one()


def lock_journal(session: Session, account_id: UUID) -> None:
    """Lock the account's journal. This comes before any write, since each write locks its rows and its sums."""
    session.execute(LOCK, {"account": account_id})


def recall(session: Session, account_id: UUID, questions: Sequence[Question]) -> list[Known | None]:
    """Return what is known about each question; None for one that may be asked."""
    rows = _rows(session, account_id, questions)
    return [_known(rows.get((question.source, question.digest)), question) for question in questions]


def reserve(
    session: Session, account_id: UUID, run_id: UUID, questions: Sequence[Question], caps: Caps
) -> list[Known | OverBudget | Reserved]:
    """Write each question that may be asked and paid; return what is known about the others."""
    lock_journal(session, account_id)
    rows = _rows(session, account_id, questions)
    rest = _rest(session, account_id, run_id, caps)
    reserved = Reserved(session.execute(select(func.clock_timestamp())).scalar_one())
    results: list[Known | OverBudget | Reserved] = []
    ours: set[tuple[str, bytes]] = set()
    for question in questions:
        key = (question.source, question.digest)
        if key in ours:
            results.append(Pending(question.dead_after))
            continue
        price = question.again_costs if key in rows else question.price
        known = _known(rows.get(key), question) or (None if rest.take(price) else OverBudget())
        if known is None:
            _write_question(session, account_id, run_id, question, price, reserved)
            ours.add(key)
        results.append(known or reserved)
    return results


def record(session: Session, account_id: UUID, run_id: UUID, question: Question, answer: Found | NotFound) -> None:
    """Write an answer, unless there is one. What the question cost beyond its price stays counted."""
    found = answer if isinstance(answer, Found) else None
    values = {
        "answered_at": func.clock_timestamp(),
        "status": "found" if found else "not_found",
        "email": found.email if found else None,
        "score": found.score if found else None,
        "evidence": dict(answer.evidence),
    }
    statement = insert(ProviderAnswer).values(run_id=run_id, cost=answer.cost, **_key(account_id, question), **values)
    saved = question.price - answer.cost
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["account_id", "provider", "question"],
            set_=values | {"cost": func.greatest(ProviderAnswer.cost - saved, 0)},
            where=ProviderAnswer.answered_at.is_(None),
        )
    )


def retract(session: Session, account_id: UUID, question: Question, reserved: Reserved) -> None:
    """Remove a question that was not charged, if it is still ours. What an earlier attempt may have cost stays."""
    ours = (*_is(account_id, question), ProviderAnswer.asked_at == reserved.at, ProviderAnswer.answered_at.is_(None))
    never_paid = ProviderAnswer.cost <= question.price
    session.execute(delete(ProviderAnswer).where(*ours, never_paid).execution_options(synchronize_session=False))
    session.execute(
        update(ProviderAnswer)
        .where(*ours)
        .values(
            cost=ProviderAnswer.cost - question.again_costs,
            # Dead by now, so that the next one may ask at once.
            asked_at=ProviderAnswer.asked_at - seconds(question.dead_after),
        )
        .execution_options(synchronize_session=False)
    )


def _write_question(
    session: Session, account_id: UUID, run_id: UUID, question: Question, price: Decimal, reserved: Reserved
) -> None:
    """Write a question that is new, or whose chunk task died: then its cost stays counted."""
    written = {"run_id": run_id, "asked_at": reserved.at}
    statement = insert(ProviderAnswer).values(cost=price, **_key(account_id, question), **written)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["account_id", "provider", "question"],
            set_={"cost": ProviderAnswer.cost + price, **written},
            where=ProviderAnswer.answered_at.is_(None),
        )
    )


def _rows(session: Session, account_id: UUID, questions: Sequence[Question]) -> dict[tuple[str, bytes], Row[Any]]:
    age = func.extract("epoch", func.clock_timestamp() - ProviderAnswer.asked_at).label("age")
    keys = [(question.source, question.digest) for question in questions]
    rows = session.execute(
        select(
            ProviderAnswer.provider,
            ProviderAnswer.question,
            ProviderAnswer.status,
            ProviderAnswer.email,
            ProviderAnswer.score,
            ProviderAnswer.cost,
            ProviderAnswer.evidence,
            age,
        ).where(
            ProviderAnswer.account_id == account_id,
            tuple_(ProviderAnswer.provider, ProviderAnswer.question).in_(keys),
        )
    )
    return {(row.provider, row.question): row for row in rows}


def _known(row: Row[Any] | None, question: Question) -> Known | None:
    if row is None:
        return None
    if row.status == "found":
        return Found(row.email, row.score, row.evidence, row.cost)
    if row.status == "not_found":
        return NotFound(row.evidence, row.cost)
    if row.age < question.dead_after:
        return Pending(question.dead_after - float(row.age))
    return None if question.may_ask_again else Lost()


def _rest(session: Session, account_id: UUID, run_id: UUID, caps: Caps) -> _Rest:
    if caps == Caps():
        return _Rest(None, None)
    spent = session.execute(SPENT, {"run": run_id, "account": account_id}).one()
    return _Rest(
        None if caps.per_run is None else caps.per_run - spent.run,
        None if caps.per_account_day is None else caps.per_account_day - spent.day,
    )


def _key(account_id: UUID, question: Question) -> Mapping[str, Any]:
    return {"account_id": account_id, "provider": question.source, "question": question.digest}


def _is(account_id: UUID, question: Question) -> tuple[Any, ...]:
    return (
        ProviderAnswer.account_id == account_id,
        ProviderAnswer.provider == question.source,
        ProviderAnswer.question == question.digest,
    )
