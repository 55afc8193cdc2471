"""The interface of a stage: contacts in, outcomes out. It contacts servers, and knows no Celery, SQL or Redis."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.outcomes import Deferral, Outcome, OutcomeStatus

if TYPE_CHECKING:
    from pipeline.contacts import Batch
    from pipeline.lookup.providers.waterfall import Waterfall
    from pipeline.mail.network import MailNetwork


class Stage(Protocol):
    """Works a batch and yields one outcome or deferral per contact, in any order, as soon as each is known.

    A stage never raises because of a contact: a contact that can't be worked gets an outcome that says why.
    Whatever it does raise is a fault of the engine itself.
    """

    def work(
        self, batch: "Batch", network: "MailNetwork", sources: "Waterfall", /
    ) -> AsyncIterator[Outcome | Deferral]:
        """Yield the outcome of each contact of `batch`, or its deferral.

        Mail servers are asked over `network`; `sources` are those of the batch's run, beyond mail servers.
        """
        ...


@dataclass(frozen=True, slots=True)
class StageSpec:
    """An entry in the table of stages: all that the engine knows of a stage.

    `load` returns the stage. Processes that work no contacts never call it: that spares them what asks mail servers.
    `weight` is its share of the percent, `message` what people read while it runs. `on_fault` is the status of a
    contact that breaks the stage, `retracted_status` that of a contact whose data was erased. A stage that
    `finds_address` says which contacts have an address; of the stages that judge it, the last one decides.
    """

    name: str
    load: Callable[[], Stage]
    presets: tuple[str, ...]
    weight: int
    message: str
    on_fault: OutcomeStatus
    retracted_status: OutcomeStatus
    finds_address: bool = False
    judges_address: bool = False

    @property
    def stage(self) -> Stage:
        """The stage, for those who work contacts."""
        return self.load()
