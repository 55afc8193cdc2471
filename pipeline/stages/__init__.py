"""The ordered table of stages. A new stage is one module and one entry here; all that differs by stage is in its entry.

A stage that remembers what earlier runs found has an entry in `pipeline.memory.of_stages` too.
"""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from pipeline.outcomes import OutcomeStatus
from pipeline.stages.protocol import Stage, StageSpec

__all__ = [
    "STAGES",
    "AddressStages",
    "Stage",
    "StageSpec",
    "address_stages",
    "retracted_statuses",
    "stage_named",
    "stages_of",
]


@cache
def _email_lookup() -> Stage:
    from pipeline.stages.email_lookup import EmailLookup

    return EmailLookup()


@cache
def _email_verify() -> Stage:
    from pipeline.stages.email_verify import EmailVerify

    return EmailVerify()


STAGES: tuple[StageSpec, ...] = (
    StageSpec(
        "email_lookup",
        _email_lookup,
        presets=("full_pipeline",),
        weight=60,
        message="Discovering email addresses...",
        on_fault=OutcomeStatus.NOT_FOUND,
        retracted_status=OutcomeStatus.NOT_FOUND,
        finds_address=True,
    ),
    StageSpec(
        "email_verify",
        _email_verify,
        presets=("full_pipeline", "verify_existing_emails"),
        weight=40,
        message="Verifying email addresses...",
        on_fault=OutcomeStatus.UNKNOWN,
        retracted_status=OutcomeStatus.SKIPPED,
        judges_address=True,
    ),
)
"""Every stage, in the order in which a run goes through them."""


class AddressStages(NamedTuple):
    """Whose outcomes say what a run delivers: the stage that finds addresses, and the last one that judges them."""

    finding: str | None
    judging: str | None

    @property
    def delivering(self) -> str | None:
        """The stage whose outcomes say which contacts have an address."""
        return self.finding or self.judging


def stage_named(name: str) -> StageSpec:
    """Find a stage. Raises KeyError if there is none of that name."""
    return {stage.name: stage for stage in STAGES}[name]


def stages_of(preset: str) -> tuple[str, ...]:
    """The names of a preset's stages, in order."""
    return tuple(stage.name for stage in STAGES if preset in stage.presets)


def retracted_statuses() -> Mapping[str, str]:
    """By stage, the status of a contact whose data was erased."""
    return {stage.name: stage.retracted_status.value for stage in STAGES}


def address_stages(preset: str) -> AddressStages:
    """Which of a preset's stages find and judge addresses."""
    stages = [stage for stage in STAGES if preset in stage.presets]
    finding = next((stage.name for stage in stages if stage.finds_address), None)
    judging = next((stage.name for stage in reversed(stages) if stage.judges_address), None)
    return AddressStages(finding, judging)
