"""What came of a run, or has come so far: counts, price, and why contacts have no verified address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.artifact import EXPORT, Artifact
from models.credit_ledger import LedgerEntry
from models.run import Run
from models.status import LedgerKind
from pipeline.credits import at_most_charged, price_of, rebate_of_stopped
from pipeline.outcomes import OutcomeStatus, Reason
from pipeline.results.counts import OutcomeGroup, delivered, tally
from pipeline.results.own_rows import REJECTS
from pipeline.results.wanted import ALL
from pipeline.stages import address_stages

MOST_SHOWN = 6
ROWS_ON_A_PAGE = 25
VERDICTS = ("valid", "risky", "invalid", "unknown")


class Counts(NamedTuple):
    """How many contacts have an address, and what is known of those."""

    contacts: int
    with_email: int
    worked: int
    verdicts: Mapping[str, int]

    @property
    def without_email(self) -> int:
        """Contacts that were worked and have no address."""
        return self.worked - self.with_email

    @property
    def verified(self) -> int:
        return self.verdicts.get(OutcomeStatus.VALID, 0)

    @property
    def judged(self) -> int:
        return sum(self.verdicts.values())


class Price(NamedTuple):
    """What a run was charged, and what came back."""

    charged: int
    back: int

    @property
    def paid(self) -> int:
        return self.charged - self.back


@dataclass(frozen=True, slots=True)
class Gap:
    """A reason, with what it means and what to do."""

    reason: str
    count: int
    sentence: str
    advice: str

    @property
    def is_listed(self) -> bool:
        """Whether its contacts are among the results: those that were never worked are not."""
        return self.reason != Reason.RUN_STOPPED


def counts_of(run: Run, groups: Sequence[OutcomeGroup]) -> Counts:
    """The counts of a run from its outcomes."""
    stages = address_stages(run.preset)
    judged = [(group.status, group.contacts) for group in groups if group.stage == stages.judging and group.has_email]
    worked = sum(group.contacts for group in groups if group.stage == stages.delivering)
    totals = delivered(run.contact_count, stages, list(groups))
    return Counts(run.contact_count, totals.with_email, worked, tally(judged))


def counts_of_compiled(run: Run) -> Counts:
    """The counts of a run that has ended, as they were compiled."""
    found = run.preview.get("delivered_counts", {}).get("delivered_contacts", 0)
    return Counts(run.contact_count, found, run.contact_count, run.preview.get("verdicts", {}))


def price_if_stopped(run: Run, groups: Sequence[OutcomeGroup]) -> Price:
    """What a run would cost if it ended now."""
    totals = delivered(run.contact_count, address_stages(run.preset), list(groups))
    return Price(price_of(run), at_most_charged(run, rebate_of_stopped(run, totals)))


def price_of_ended(session: Session, run: Run) -> Price:
    """What a run has cost, from the ledger."""
    paid_back = select(LedgerEntry.credits).where(
        LedgerEntry.run_id == run.id, LedgerEntry.kind == LedgerKind.REBATE.value
    )
    return Price(price_of(run), session.scalar(paid_back) or 0)


def contacts_to_retry(run: Run, groups: Sequence[OutcomeGroup]) -> int:
    """For how many contacts a retry is charged: those without an address that stays."""
    delivering = address_stages(run.preset).delivering
    kept = (g.contacts for g in groups if g.stage == delivering and g.has_email and not Reason(g.reason).may_pass)
    return run.contact_count - sum(kept)


def gaps_in(reasons: Mapping[str, Any]) -> Sequence[Gap]:
    """The reasons of a gap report. Their sentences are those of this release."""
    return [_gap(reason, entry) for reason, entry in reasons.items()]


def folded(gaps: Sequence[Gap]) -> tuple[Sequence[Gap], Sequence[Gap]]:
    """The frequent reasons, which are shown, and the rare ones, which are folded away."""
    frequent = gaps[:MOST_SHOWN]
    return (gaps, ()) if len(gaps) <= MOST_SHOWN + 1 else (frequent, gaps[MOST_SHOWN:])


def without_needless(artifacts: Sequence[Artifact]) -> Sequence[Artifact]:
    """Those that are files, each once: all contacts are an export under another name. No file of no rejected rows."""
    exports = {each.sha256 for each in artifacts if each.kind == EXPORT}
    return [
        each
        for each in artifacts
        if each.sha256
        and not (each.asset_id == ALL and each.sha256 in exports)
        and not (each.asset_id == REJECTS and not each.rows)
    ]


def _gap(reason: str, entry: Mapping[str, Any]) -> Gap:
    known = Reason(reason) if reason in set(Reason) else None
    sentence = known.sentence if known else str(entry.get("explanation", ""))
    return Gap(reason, int(entry["count"]), sentence, known.advice if known else str(entry.get("advice", "")))
