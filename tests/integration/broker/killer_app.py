"""Our Celery application with a fault in its look-up stage: one contact kills the process that works it.

Started as `celery -A tests.integration.broker.killer_app worker`, with the contact's last name in KILLER. Not to be
imported by tests: it changes the table of stages.
"""

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

from pipeline import stages
from pipeline.contacts import Batch
from pipeline.lookup.providers.waterfall import Waterfall
from pipeline.mail.network import MailNetwork
from pipeline.outcomes import Deferral, Outcome
from worker.app import app

__all__ = ["app"]


class KilledByOne:
    """Kills the process if the batch has that contact, and is the real stage otherwise."""

    def __init__(self, stage: stages.Stage) -> None:
        self._stage = stage

    async def work(
        self, batch: Batch, network: MailNetwork, sources: Waterfall, /
    ) -> AsyncIterator[Outcome | Deferral]:
        if any(contact.last_name == os.environ["KILLER"] for contact in batch.contacts):
            os.kill(os.getpid(), signal.SIGKILL)
        async for result in self._stage.work(batch, network, sources):
            yield result


stages.STAGES = tuple(
    replace(spec, load=partial(KilledByOne, spec.stage)) if spec.name == "email_lookup" else spec
    for spec in stages.STAGES
)
