"""Outcomes that rest on what an earlier run settled."""

from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from pipeline.records import KnownVerdict


def known_outcome(known: KnownVerdict, position: int, email: str) -> Outcome:
    """The same verdict again; its evidence says under `cache` when it was found out, and how old it is."""
    cache = {
        "checked_at": known.checked_at.isoformat(timespec="seconds"),
        "age_seconds": round(known.age_seconds),
    }
    return Outcome(
        position,
        OutcomeStatus(known.status),
        Reason(known.reason),
        email=email,
        score=known.score,
        evidence={**known.evidence, "cache": cache},
    )
