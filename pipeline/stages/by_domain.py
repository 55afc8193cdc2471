"""Works a batch domain by domain, many at once, and yields what is said about each contact as it is known.

A slow domain delays nobody else, and a fault in one costs the contacts of that domain only.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from pipeline.contacts import Contact
from pipeline.errors import traced
from pipeline.mail.probe import Prober
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason

log = logging.getLogger(__name__)

T = TypeVar("T")

GROUP_SIZE = 25
"""People of one domain that share a time limit and rounds of questions: memory stays flat at large domains."""

Work = Callable[[str, Sequence[Contact]], AsyncIterator[Outcome | Deferral]]


async def work_by_domain(
    domains: Mapping[str, Sequence[Contact]], work: Work, *, at_once: int, on_fault: OutcomeStatus
) -> AsyncGenerator[Outcome | Deferral, None]:
    """Yield what `work` says about each domain's contacts, in any order: one outcome or deferral per contact.

    `on_fault` is the status, beside reason `internal_error`, of contacts for which `work` broke. Closing the
    iterator early ends all work.
    """
    said: deque[Outcome | Deferral] = deque()
    arrived = asyncio.Event()
    waiting = iter(domains.items())

    async def worker() -> None:
        for domain, contacts in waiting:
            missing = {contact.position for contact in contacts}
            try:
                async for answer in work(domain, contacts):
                    missing.remove(answer.position)
                    said.append(answer)
                    arrived.set()
            except Exception as error:  # noqa: BLE001 - a fault in one domain costs its contacts only
                broken = "The work on a domain broke; its contacts at positions %s: %s"
                log.error(broken, sorted(missing), traced(error))
            said.extend(Outcome(position, on_fault, Reason.INTERNAL_ERROR) for position in missing)
            arrived.set()

    workers = [asyncio.create_task(worker()) for _ in range(min(at_once, len(domains)))]
    try:
        for _ in range(sum(map(len, domains.values()))):
            while not said:
                arrived.clear()
                await arrived.wait()
            yield said.popleft()
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def in_groups(members: Sequence[T], conversation: Prober, probes_each: Callable[[], int]) -> Iterator[Sequence[T]]:
    """Cut into groups of GROUP_SIZE, or fewer where the server is too slow to answer for so many in time.

    `probes_each` is asked before each group: what the group before taught counts.
    """
    start = 0
    while start < len(members):
        size = max(1, min(GROUP_SIZE, conversation.probes_in_time // probes_each()))
        yield members[start : start + size]
        start += size
