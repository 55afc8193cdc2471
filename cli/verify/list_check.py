"""Works a worklist: many domains at once, and whoever is put off waits while the others go on."""

import asyncio
import time
from collections.abc import Callable, Sequence

from cli.verify.domain_check import owed_outcome, verify
from cli.verify.worklist import Asked, Worklist
from pipeline.contacts import Contact
from pipeline.mail.network import MailNetwork
from pipeline.mail.outage import Outage
from pipeline.outcomes import Outcome, Reason

LOOK_EVERY_S = 0.2
"""How often it is told how far the list is, and waits and an outage are looked for."""
MAY_PASS = (Reason.SERVER_UNREACHABLE, Reason.DNS_FAILURE, Reason.TIME_LIMIT)
"""What addresses get while the way out is closed, before that is certain."""


async def check_list(
    worklist: Worklist, network: MailNetwork, patience: float, on_progress: Callable[[], None]
) -> Outage | None:
    """Work until every address has its outcome, or say that the outside world is gone as a whole.

    An address that is put off is asked again for up to `patience` seconds.
    """
    worklist.end_waits(patience)
    async with _Hands(worklist, network, patience) as hands:
        while hands.take_more() or worklist.anybody_waits:
            await hands.wait_a_moment()
            on_progress()
            if network.outage():
                break
    # Only now that nobody is at work any more is all written that has to be forgotten.
    if outage := network.outage():
        worklist.reopen(MAY_PASS)
    return outage


class _Hands:
    """The domains in work. Whatever way the block ends, none is left at work."""

    def __init__(self, worklist: Worklist, network: MailNetwork, patience: float) -> None:
        self._worklist = worklist
        self._network = network
        self._patience = patience
        self._working: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "_Hands":
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    def take_more(self) -> bool:
        """Begin as much as is allowed at once; whether anything is in work."""
        at_once = self._network.config.conversations
        while len(self._working) < at_once and (asked := self._worklist.take(time.time())):
            self._working.add(asyncio.create_task(self._check(asked)))
        return bool(self._working)

    async def wait_a_moment(self) -> None:
        """Until something is done, but not for long. Raises what a task raised: a fault of ours."""
        if not self._working:
            await asyncio.sleep(LOOK_EVERY_S)
            return
        done, self._working = await asyncio.wait(
            self._working, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()

    async def _check(self, asked: Sequence[Asked]) -> None:
        settled: list[Outcome] = []
        contacts = [Contact(n, email=each.email, deferrals=each.deferrals) for n, each in enumerate(asked)]
        try:
            async for said in verify(contacts, self._network):
                each = asked[said.position]
                if isinstance(said, Outcome):
                    settled.append(said)
                elif each.waited + said.seconds > self._patience:
                    settled.append(owed_outcome(said, each.email))
                else:
                    self._worklist.put_off(each, time.time() + said.seconds, said.seconds)
        finally:
            self._worklist.settle(settled)
