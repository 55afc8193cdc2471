"""A checked address as one JSON object, for machines."""

from typing import Any

from cli.verify.domain_check import DomainCheck
from pipeline.mail.reacher.render import reacher_json
from pipeline.mail.smtp.transcript import Exchange, SessionTranscript
from pipeline.mail.verdict import Verdict
from pipeline.outcomes import Outcome


def check_as_json(check: DomainCheck) -> list[dict[str, Any]]:
    """One object for each address; those of one domain share its conversation."""
    evidence = {"domain": _domain(check), "sessions": [_session(each) for each in check.transcript.sessions]}
    return [
        outcome_as_json(email, outcome, evidence) for email, outcome in zip(check.emails, check.outcomes, strict=True)
    ]


def outcome_as_json(address: str, outcome: Outcome, evidence: dict[str, Any] | None = None) -> dict[str, Any]:
    """Address, status, reason, score and the evidence, with more of it if there is."""
    return {
        "address": address,
        "status": outcome.status,
        "reason": outcome.reason,
        "score": outcome.score,
        "explanation": outcome.reason.sentence,
        "evidence": outcome.evidence.to_json() | (evidence or {}),
    }


def outcome_as_reacher(address: str, outcome: Outcome) -> dict[str, Any]:
    """The shape of Reacher's answers, for what reads those today."""
    return reacher_json(address, Verdict(outcome.status, outcome.reason, outcome.score), outcome.evidence)


def check_as_reacher(check: DomainCheck) -> list[dict[str, Any]]:
    """One object for each address, in the shape of Reacher's answers."""
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
