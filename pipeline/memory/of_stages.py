"""What each stage remembers: loaded with a chunk, and kept when its outcomes are recorded."""

from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from pipeline.contacts import Batch
from pipeline.memory import lookups, verifications
from pipeline.memory.span import Span
from pipeline.memory.verifications import Freshness
from pipeline.outcomes import Outcome


class Memory(NamedTuple):
    """`load` completes a batch with what is known of its contacts; `remember` keeps what a stage found out for sure."""

    load: Callable[[Session, Span, Batch, Freshness], Batch]
    remember: Callable[[Session, UUID, Sequence[Outcome]], None]


def _load_nothing(_session: Session, _span: Span, batch: Batch, _freshness: Freshness) -> Batch:
    return batch


def _remember_nothing(_session: Session, _account_id: UUID, _outcomes: Sequence[Outcome]) -> None:
    pass


NOTHING = Memory(_load_nothing, _remember_nothing)

MEMORIES: dict[str, Memory] = {
    "email_lookup": Memory(lookups.complete_batch, lookups.remember_people),
    "email_verify": Memory(verifications.complete_batch, verifications.remember_verdicts),
}


def memory_of(stage: str) -> Memory:
    """A stage without an entry remembers nothing."""
    return MEMORIES.get(stage, NOTHING)
