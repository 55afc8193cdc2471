"""Works a batch domain by domain, many domains at once, and yields each contact's result as soon as it is known.

A slow domain delays no other, and a fault in one affects only its own contacts.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from pipeline.contacts import Contact
from pipeline.errors import StorageFailed, traced
from pipeline.mail.probe import Prober
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason

log = logging.getLogger(__name__)

T = TypeVar("T")

GROUP_SIZE = 25
"""Contacts of one domain that share a time limit and rounds of probes; this bounds memory at large domains."""

Work = Callable[[str, Sequence[Contact]], AsyncIterator[Outcome | Deferral]]


async def work_by_domain(
    domains: Mapping[str, Sequence[Contact]], work: Work, *, at_once: int, on_fault: OutcomeStatus
) -> AsyncGenerator[Outcome | Deferral, None]:
    """Yield what `work` yields for each domain, in any order: one outcome or deferral per contact.

    If `work` raises, the domain's remaining contacts get the status `on_fault` with the reason `internal_error`. Only
    `StorageFailed` ends all work and is raised here. Closing the iterator early cancels all work.
    """
    results: deque[Outcome | Deferral] = deque()
    failures: list[StorageFailed] = []
    arrived = asyncio.Event()
    waiting = iter(domains.items())

    async def worker() -> None:
        for domain, contacts in waiting:
            missing = {contact.position for contact in contacts}
            try:
                async for result in work(domain, contacts):
                    missing.remove(result.position)
                    results.append(result)
                    arrived.set()
            except StorageFailed as error:
                failures.append(error)
                arrived.set()
                return
            except Exception as error:  # noqa: BLE001 - a fault in one domain affects only its contacts
                log.error("a domain failed, with contacts at positions %s: %s", sorted(missing), traced(error))
            results.extend(Outcome(position, on_fault, Reason.INTERNAL_ERROR) for position in missing)
            arrived.set()

    workers = [asyncio.create_task(worker()) for _ in range(min(at_once, len(domains)))]
    try:
        for _ in range(sum(map(len, domains.values()))):
            while not results:
                if failures:
                    raise failures[0]
                arrived.clear()
                await arrived.wait()
            yield results.popleft()
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def in_groups(members: Sequence[T], conversation: Prober, probes_each: Callable[[], int]) -> Iterator[Sequence[T]]:
    """Yield groups of GROUP_SIZE, or smaller ones if the server is too slow to answer for so many in time.

    `probes_each` is called before each group, since the group before may have changed it.
    """
    start = 0
    while start < len(members):
        size = max(1, min(GROUP_SIZE, conversation.probes_in_time // probes_each()))
        yield members[start : start + size]
        start += size
