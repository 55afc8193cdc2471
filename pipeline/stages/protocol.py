"""What a stage is: records in, outcomes out. It knows the network, and nothing of Celery, SQL or Redis."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.mail.network import MailNetwork
from pipeline.outcomes import Outcome
from pipeline.records import Batch


class Stage(Protocol):
    """Works a batch and yields one outcome per record, in any order, as soon as each is known.

    A stage never raises because of a record: a record that can't be worked gets an outcome that says why.
    Whatever it does raise is a fault of the engine itself.
    """

    def work(self, batch: Batch, network: MailNetwork) -> AsyncIterator[Outcome]:
        """Yield the outcome of each record of `batch`."""
        ...


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One line in the table of stages: its name, its share of the percent, what people read while it runs."""

    name: str
    weight: int
    message: str
    stage: Stage
