"""Counts of a run's outcomes: delivered contacts, their sources, and the reasons of the others."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.run import Run
from pipeline.credits import Delivered
from pipeline.outcomes import OutcomeStatus, Reason
from pipeline.stages import AddressStages, address_stages

# One pass over the outcomes. There are at most a few hundred groups, however large the run is.
GROUPS = text("""
SELECT stage, status, reason, source, email IS NOT NULL AS has_email, count(*) AS contacts
FROM outcomes WHERE run_id = :run_id
GROUP BY stage, status, reason, source, has_email
""")


BY_PROVIDER = text("""
SELECT coalesce(evidence->>'provider', '') AS provider, status, count(*) AS contacts
FROM outcomes WHERE run_id = :run_id AND stage = :judging AND email IS NOT NULL
GROUP BY provider, status
""")

BY_TIME = text("""
SELECT CAST(floor(extract(epoch FROM recorded_at - :since) / :seconds) AS integer) AS slot, count(*) AS contacts
FROM outcomes WHERE run_id = :run_id AND recorded_at >= :since AND status <> 'skipped'
GROUP BY slot
""")

GROUPS_OF_SOME = text("""
SELECT o.stage, o.status, o.reason, o.source, o.email IS NOT NULL AS has_email, count(*) AS contacts
FROM unnest(CAST(:positions AS bigint[])) AS wanted(position)
JOIN outcomes o ON o.run_id = :run_id AND o.position = wanted.position
GROUP BY o.stage, o.status, o.reason, o.source, has_email
""")


@dataclass(frozen=True, slots=True)
class OutcomeGroup:
    """How many contacts share one stage, status, reason and source."""

    stage: str
    status: str
    reason: str
    source: str | None
    has_email: bool
    contacts: int


def count_outcomes(session: Session, run_id: UUID) -> list[OutcomeGroup]:
    """A run's outcomes, grouped."""
    return [OutcomeGroup(**row._asdict()) for row in session.execute(GROUPS, {"run_id": run_id})]


def count_by_provider(session: Session, run: Run) -> Mapping[str, Mapping[str, int]]:
    """The verdicts of a run's addresses by the provider of their mail host; `""` for those of nobody known."""
    judging = address_stages(run.preset).judging
    found: dict[str, dict[str, int]] = {}
    for row in session.execute(BY_PROVIDER, {"run_id": run.id, "judging": judging}):
        found.setdefault(row.provider, {})[row.status] = row.contacts
    return found


def count_by_time(session: Session, run_id: UUID, since: datetime, seconds: int) -> Mapping[int, int]:
    """How many contacts a run's stages worked in each span of so many seconds since a time."""
    rows = session.execute(BY_TIME, {"run_id": run_id, "since": since, "seconds": seconds})
    return {row.slot: row.contacts for row in rows}


def charged(session: Session, run: Run, counts: Delivered) -> Delivered:
    """Of what a run delivered, that which is charged: each person once.

    A run that is made in SQL has paid for repeats as well: they count as suppressed, which are paid back in full.
    """
    paid_for_all = run.charged_contacts == run.contact_count
    if (paid_for_all and not run.made_in_sql) or not run.repeats:
        return counts
    rows = session.execute(GROUPS_OF_SOME, {"run_id": run.id, "positions": run.repeats})
    groups = [OutcomeGroup(**row._asdict()) for row in rows]
    distinct = counts.without(delivered(len(run.repeats), address_stages(run.preset), groups))
    if not paid_for_all:
        return distinct
    return replace(distinct, contacts=counts.contacts, suppressed=distinct.suppressed + len(run.repeats))


def delivered(contacts: int, stages: AddressStages, groups: list[OutcomeGroup]) -> Delivered:
    """Delivered are contacts with an address; verified those whose address the judging stage calls valid."""
    delivering = [group for group in groups if group.stage == stages.delivering]
    with_email = sum(group.contacts for group in delivering if group.has_email)
    verified = sum(g.contacts for g in groups if g.stage == stages.judging and g.status == OutcomeStatus.VALID)
    suppressed = sum(group.contacts for group in delivering if group.reason == Reason.SUPPRESSED)
    return Delivered(contacts, with_email, verified, suppressed)


def tally(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Sum counts by word: largest first, equal counts in alphabetical order."""
    totals: Counter[str] = Counter()
    for word, count in pairs:
        totals[word] += count
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))
