"""Renders checked addresses as JSON."""

from typing import Any

from cli.verify.domain_check import DomainCheck
from pipeline.mail.reacher.render import reacher_json
from pipeline.mail.smtp.transcript import Exchange, SessionTranscript
from pipeline.mail.verdict import Verdict
from pipeline.outcomes import Outcome


def check_as_json(check: DomainCheck) -> list[dict[str, Any]]:
    """Render one object for each address; addresses of one domain share its conversation."""
    evidence = {"domain": _domain(check), "sessions": [_session(each) for each in check.transcript.sessions]}
    return [
        outcome_as_json(email, outcome, evidence) for email, outcome in zip(check.emails, check.outcomes, strict=True)
    ]


def outcome_as_json(address: str, outcome: Outcome, evidence: dict[str, Any] | None = None) -> dict[str, Any]:
    """Render address, status, reason, score and evidence."""
    return {
        "address": address,
        "status": outcome.status,
        "reason": outcome.reason,
        "score": outcome.score,
        "explanation": outcome.reason.sentence,
        "evidence": outcome.evidence.to_json() | (evidence or {}),
    }


def outcome_as_reacher(address: str, outcome: Outcome) -> dict[str, Any]:
    """Render an outcome as Reacher does."""
    return reacher_json(address, Verdict(outcome.status, outcome.reason, outcome.score), outcome.evidence)


def check_as_reacher(check: DomainCheck) -> list[dict[str, Any]]:
    """Render one object for each address, as Reacher does."""
    return [outcome_as_reacher(*pair) for pair in zip(check.emails, check.outcomes, strict=True)]


def _domain(check: DomainCheck) -> dict[str, Any]:
    route = check.route
    return {
        "name": route.domain,
        "mail_hosts": [{"name": host.name, "addresses": list(host.addresses)} for host in route.hosts],
        "problem": route.problem,
        "seconds": round(check.route_seconds, 3),
    }


def _session(session: SessionTranscript) -> dict[str, Any]:
    return {
        "ip": session.ip,
        "seconds": round(session.seconds, 3),
        "failure": session.failure or session.noise or None,
        "exchanges": [_exchange(each) for each in session.exchanges],
    }


def _exchange(exchange: Exchange) -> dict[str, Any]:
    reply = exchange.reply
    return {
        "command": exchange.command or None,
        "reply_code": reply.code if reply else None,
        "reply_lines": list(reply.lines) if reply else [],
        "seconds": round(exchange.seconds, 3),
    }
