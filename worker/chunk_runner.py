"""A chunk in the event loop of its process: its stage works it there, and its results wait to be recorded."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import aclosing

from pipeline.contacts import Batch, Contact
from pipeline.errors import StageFault
from pipeline.outcomes import Deferral, Outcome, Reason
from pipeline.runs import trouble
from pipeline.runs.chunks import Lease
from pipeline.runs.trouble import Step
from pipeline.stages import stage_named
from worker.process import Process

CONTACTS_OF_A_CONVERSATION = 25
"""A chunk counts as one conversation for each of its domains, or as one for so many contacts if that is more."""


class ChunkAtWork:
    """A leased chunk, and what has arrived of it.

    `on_freed` is called in the loop's thread when all contacts of a domain have their results.
    """

    def __init__(
        self, lease: Lease, contacts: Sequence[Contact], release_at: float, on_freed: Callable[[], None]
    ) -> None:
        self.lease = lease
        self.release_at = release_at
        self.outcomes: list[Outcome] = []
        """Collected, and not recorded yet."""
        self.deferrals: list[Deferral] = []
        self.has_ended = False
        """All that it has yielded is collected."""
        self.stopped_for = ""
        """Why the rest of the chunk is left to others, once its work has been told to stop."""
        self._task: asyncio.Task[None] | None = None
        self._on_freed = on_freed
        self._arrived: deque[Outcome | Deferral] = deque()
        self._domains = {contact.position: _domain_of(contact) for contact in contacts}
        self._open = Counter(self._domains.values())

    @property
    def conversations(self) -> int:
        """How many conversations the chunk still needs, about."""
        return max(len(self._open), len(self._domains) // CONTACTS_OF_A_CONVERSATION)

    @property
    def missing(self) -> Sequence[int]:
        """The positions of contacts without a result."""
        return sorted(self._domains)

    def add(self, result: Outcome | Deferral) -> None:
        """Take a result of the stage, in the loop's thread. Raises `StageFault` for a contact that waits for none."""
        domain = self._domains.pop(result.position, None)
        if domain is None:
            raise StageFault(
                f"stage {self.lease.stage} gave two results for the contact at position {result.position}, "
                "or one that is not in its chunk"
            )
        self._arrived.append(result)
        self._open[domain] -= 1
        if not self._open[domain]:
            del self._open[domain]
            self._on_freed()

    def finish_poison(self) -> None:
        """The one contact of a poison chunk gets its outcome. It is neither loaded nor worked."""
        self._arrived.append(
            Outcome(self.lease.first_position, stage_named(self.lease.stage).on_fault, Reason.INTERNAL_ERROR)
        )

    def note_task(self) -> None:
        """Note the running task of the loop as the one to cancel. Raises `CancelledError` if it is to stop already."""
        self._task = asyncio.current_task()
        if self.stopped_for:
            raise asyncio.CancelledError

    def cancel(self) -> None:
        """Cancel the work, in the loop's thread. Paid requests under way have some seconds to end."""
        if self._task is not None:
            self._task.cancel()

    def collect(self) -> None:
        """Take over what has arrived, in the task's thread."""
        while self._arrived:
            result = self._arrived.popleft()
            if isinstance(result, Deferral):
                self.deferrals.append(result)
            else:
                self.outcomes.append(result)


async def run_chunk(process: Process, chunk: ChunkAtWork, batch: Batch) -> None:
    """Have the stage work a chunk. Raises `StepFailed`."""
    chunk.note_task()
    with trouble.step(Step.WORK):
        if chunk.lease.is_poison:
            chunk.finish_poison()
            return
        await _work(process, chunk, batch)


async def _work(process: Process, chunk: ChunkAtWork, batch: Batch) -> None:
    lease = chunk.lease
    results = stage_named(lease.stage).stage.work(batch, process.network, process.sources_of(lease.run_id))
    async with aclosing(results) as given:  # type: ignore[type-var]
        async for result in given:
            chunk.add(result)
    if missing := chunk.missing:
        raise StageFault(
            f"stage {lease.stage} gave no outcome for {len(missing)} contacts, the first at position {missing[0]}"
        )


def _domain_of(contact: Contact) -> str:
    return (contact.email or "").rpartition("@")[2] or contact.domain
