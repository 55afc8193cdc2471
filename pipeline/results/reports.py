"""Preview, data source mix and gap report: pure functions of the grouped outcomes; and the summary of all."""

import json
from typing import Any

from models.run import Run
from pipeline.credits import Delivered
from pipeline.outcomes import Reason
from pipeline.results.counts import OutcomeGroup, tally
from pipeline.stages import address_stages


def preview(run: Run, delivered: Delivered, groups: list[OutcomeGroup], rebate_credits: int) -> dict[str, Any]:
    """The delivered contacts by verdict, and the price."""
    charged, judging = run.charged_contacts * run.charge_per_contact, address_stages(run.preset).judging
    return {
        "delivered_counts": {
            "delivered_contacts": delivered.with_email,
            "verified_emails": delivered.verified,
        },
        "verdicts": tally((g.status, g.contacts) for g in groups if g.stage == judging and g.has_email),
        "pricing": {
            "charged_credits": charged,
            "rebate_credits": rebate_credits,
            "net_credits": charged - rebate_credits,
        },
    }


def data_source_mix(run: Run, delivered: Delivered, groups: list[OutcomeGroup]) -> dict[str, Any]:
    """The stages and sources of the delivered addresses."""
    delivering = address_stages(run.preset).delivering
    found = [g for g in groups if g.stage == delivering and g.has_email]
    return {
        "enriched": delivered.with_email,
        "by_stage": tally((g.stage, g.contacts) for g in found),
        "by_source": tally((g.source or "input", g.contacts) for g in found),
    }


def gap_report(run: Run, delivered: Delivered, groups: list[OutcomeGroup]) -> dict[str, Any]:
    """Why contacts have no address, and why addresses are not verified, with counts and advice."""
    stages = address_stages(run.preset)
    delivering = [g for g in groups if g.stage == stages.delivering]
    not_worked = delivered.contacts - sum(g.contacts for g in delivering)
    stopped = [(Reason.RUN_STOPPED.value, not_worked)] if not_worked else []
    unresolved = tally([(g.reason, g.contacts) for g in delivering if not g.has_email] + stopped)
    unverified = tally(
        (g.reason, g.contacts) for g in groups if g.stage == stages.judging and g.has_email and g.status != "valid"
    )
    return {
        "unresolved": delivered.contacts - delivered.with_email,
        "reasons": _explained(unresolved),
        "unverified": delivered.with_email - delivered.verified,
        "unverified_reasons": _explained(unverified),
    }


def run_summary(run: Run) -> str:
    """A completed run in numbers, as JSON."""
    times = {name: getattr(run, name).isoformat() for name in ("created_at", "started_at", "finished_at")}
    summary = {
        "run_id": str(run.id),
        "status": run.status,
        "pipeline_id": run.pipeline_id,
        "preset": run.preset,
        "contacts": run.contact_count,
        **times,
        "preview": run.preview,
        "data_source_mix": run.data_source_mix,
        "gap_report": run.gap_report,
    }
    return json.dumps(summary, ensure_ascii=False, indent=2) + "\n"


def _explained(counts: dict[str, int]) -> dict[str, Any]:
    return {
        reason: {"count": count, "explanation": Reason(reason).sentence, "advice": Reason(reason).advice}
        for reason, count in counts.items()
    }
