"""Works a batch domain by domain, many at once, and yields outcomes as they are known.

A slow domain delays nobody else, and a fault in one costs the records of that domain only.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from pipeline.mail.conversation import Conversation
from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from pipeline.records import Record

log = logging.getLogger(__name__)

T = TypeVar("T")

GROUP_SIZE = 25
"""People of one domain that share a time limit and rounds of questions: memory stays flat at large domains."""

Work = Callable[[str, Sequence[Record]], AsyncIterator[Outcome]]


async def work_by_domain(
    domains: Mapping[str, Sequence[Record]], work: Work, *, at_once: int, on_fault: OutcomeStatus
) -> AsyncGenerator[Outcome, None]:
    """Yield what `work` says about each domain's records, in any order, exactly one outcome per record.

    `on_fault` is the status, beside reason `internal_error`, of records for which `work` broke. Closing the
    iterator early ends all work.
    """
    outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
    waiting = iter(domains.items())

    async def worker() -> None:
        for domain, records in waiting:
            missing = {record.position for record in records}
            try:
                async for outcome in work(domain, records):
                    missing.remove(outcome.position)
                    outcomes.put_nowait(outcome)
            except Exception:
                log.exception("The work on a domain broke; its records at positions %s", sorted(missing))
            for position in missing:
                outcomes.put_nowait(Outcome(position, on_fault, Reason.INTERNAL_ERROR))

    workers = [asyncio.create_task(worker()) for _ in range(min(at_once, len(domains)))]
    try:
        for _ in range(sum(map(len, domains.values()))):
            yield await outcomes.get()
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def in_groups(members: Sequence[T], conversation: Conversation, questions_each: int) -> Iterator[Sequence[T]]:
    """Cut into groups of GROUP_SIZE, or fewer where the server is too slow to answer for so many in time."""
    start = 0
    while start < len(members):
        size = max(1, min(GROUP_SIZE, conversation.questions_in_time // questions_each))
        yield members[start : start + size]
        start += size
