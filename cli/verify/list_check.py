"""Works through a worklist, many domains at a time. Deferred addresses wait while others are checked."""

import asyncio
import time
from collections.abc import Callable, Sequence

from cli.verify.domain_check import outcome_of_deferral, verify
from cli.verify.worklist import PendingAddress, Worklist
from pipeline.contacts import Contact
from pipeline.mail.network import MailNetwork
from pipeline.mail.outage import Outage
from pipeline.outcomes import Outcome, Reason

LOOK_EVERY_S = 0.2
"""How often progress is reported, and deferred addresses and an outage are looked for."""
MAY_PASS = (Reason.SERVER_UNREACHABLE, Reason.DNS_FAILURE, Reason.TIME_LIMIT)
"""Outcomes that an outage causes before it is recognised."""


async def check_list(
    worklist: Worklist, network: MailNetwork, patience: float, on_progress: Callable[[], None]
) -> Outage | None:
    """Check until every address has its outcome. Returns the outage if no server can be reached at all.

    A deferred address is asked about again for up to `patience` seconds.
    """
    worklist.end_waits(patience)
    async with _RunningChecks(worklist, network, patience) as checks:
        while checks.start_more() or worklist.has_deferred:
            await checks.wait_a_moment()
            on_progress()
            if network.outage():
                break
    # Only now, when no check is running, are all outcomes written that have to be deleted.
    if outage := network.outage():
        worklist.reopen(MAY_PASS)
    return outage


class _RunningChecks:
    """The running checks. They are cancelled when the block ends."""

    def __init__(self, worklist: Worklist, network: MailNetwork, patience: float) -> None:
        self._worklist = worklist
        self._network = network
        self._patience = patience
        self._working: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "_RunningChecks":
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    def start_more(self) -> bool:
        """Start as many checks as are allowed at once. Returns whether any is running."""
        at_once = self._network.config.conversations
        while len(self._working) < at_once and (asked := self._worklist.next_batch(time.time())):
            self._working.add(asyncio.create_task(self._check(asked)))
        return bool(self._working)

    async def wait_a_moment(self) -> None:
        """Wait until a check is done, but not for long. Raises what a check raised, which is a fault of ours."""
        if not self._working:
            await asyncio.sleep(LOOK_EVERY_S)
            return
        done, self._working = await asyncio.wait(
            self._working, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()

    async def _check(self, asked: Sequence[PendingAddress]) -> None:
        outcomes: list[Outcome] = []
        contacts = [Contact(n, email=each.email, deferrals=each.deferrals) for n, each in enumerate(asked)]
        try:
            async for result in verify(contacts, self._network):
                each = asked[result.position]
                if isinstance(result, Outcome):
                    outcomes.append(result)
                elif each.waited + result.seconds > self._patience:
                    outcomes.append(outcome_of_deferral(result, each.email))
                else:
                    self._worklist.defer(each, time.time() + result.seconds, result.seconds)
        finally:
            self._worklist.record(outcomes)
