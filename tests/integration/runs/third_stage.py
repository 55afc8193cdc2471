"""A third stage: one module, and one entry in the table of stages.

`python -m tests.integration.runs.third_stage RUN_ID` sends a run's chain, `celery -A` with this module starts a worker;
both have the stage in their table. Tests that import the module add it themselves.
"""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

from pipeline import stages
from pipeline.contacts import Batch
from pipeline.lookup.providers.waterfall import Waterfall
from pipeline.mail.network import MailNetwork
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.stages import StageSpec

NAME = "second_opinion"
GATE = "SECOND_OPINION_GATE"
"""The environment variable that names a file: while the file is missing, one contact of each batch is deferred."""


def _is_closed() -> bool:
    return not Path(os.environ[GATE]).exists()


class SecondOpinion:
    """Judges addresses by their position: every third one is a role account, all others are valid."""

    async def work(
        self, batch: Batch, _network: MailNetwork, _sources: Waterfall, /
    ) -> AsyncIterator[Outcome | Deferral]:
        is_closed = _is_closed()
        for contact in batch.contacts:
            if contact.email is None:
                yield Outcome(contact.position, OutcomeStatus.SKIPPED, Reason.NO_EMAIL)
            elif is_closed:
                is_closed = False
                yield Deferral(contact.position, 3600, Reason.GREYLISTED)
            elif contact.position % 3:
                yield Outcome(contact.position, OutcomeStatus.VALID, Reason.MAILBOX_EXISTS, contact.email, score=90)
            else:
                yield Outcome(contact.position, OutcomeStatus.RISKY, Reason.ROLE_ACCOUNT, contact.email, score=50)


SPEC = StageSpec(
    NAME,
    SecondOpinion,
    presets=("full_pipeline",),
    weight=100,
    message="Asking for a second opinion...",
    on_fault=OutcomeStatus.UNKNOWN,
    retracted_status=OutcomeStatus.UNKNOWN,
    judges_address=True,
)

if "celery" in sys.argv[0] or __name__ == "__main__":
    stages.STAGES = (*stages.STAGES, SPEC)
    from worker.app import app
    from worker.dispatch import send_chain

    __all__ = ["app"]

if __name__ == "__main__":
    send_chain(UUID(sys.argv[1]), "full_pipeline")
