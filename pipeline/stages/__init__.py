"""The ordered table of stages, and the presets that choose from it. A new stage is one module and one line."""

from collections.abc import Mapping

from pipeline.outcomes import OutcomeStatus
from pipeline.stages.email_lookup import EmailLookup
from pipeline.stages.email_verify import EmailVerify
from pipeline.stages.protocol import Stage, StageSpec

__all__ = ["PRESETS", "STAGES", "Stage", "StageSpec", "stage_named"]

STAGES: tuple[StageSpec, ...] = (
    StageSpec("email_lookup", 60, "Discovering email addresses...", EmailLookup(), OutcomeStatus.NOT_FOUND),
    StageSpec("email_verify", 40, "Verifying email addresses...", EmailVerify(), OutcomeStatus.UNKNOWN),
)
"""Every stage, in the order in which a run goes through them."""

PRESETS: Mapping[str, tuple[str, ...]] = {
    "full_pipeline": ("email_lookup", "email_verify"),
    "verify_existing_emails": ("email_verify",),
}
"""The stages of each preset, by name, in order."""


def stage_named(name: str) -> StageSpec:
    """Find a stage. Raises KeyError if there is none of that name."""
    return {stage.name: stage for stage in STAGES}[name]
