"""Renders verdicts as Reacher's `CheckEmailOutput`, for programs that read Reacher's output.

The format is that of check-if-email-exists 0.11 (core/src/util/input_output.rs, core/src/lib.rs, backend/openapi.json):
`smtp` is either details or an error; a host that could not be reached is an error; and with an invalid syntax all
details have their defaults. What we do not look up (Gravatar, haveibeenpwned) is null.
"""

from datetime import timedelta
from typing import Any

from pipeline.evidence import Evidence, ReplyEvidence
from pipeline.mail.reacher.vocabularies import words_for
from pipeline.mail.verdict import Verdict
from pipeline.outcomes import OutcomeStatus, Reason

BACKEND_NAME = "growth-engine"
_NOTHING_SEEN = {
    "can_connect_smtp": False,
    "has_full_inbox": False,
    "is_catch_all": False,
    "is_deliverable": False,
    "is_disabled": False,
}
_TAKES_NO_MAIL = frozenset({Reason.SYNTAX, Reason.NO_SUCH_DOMAIN, Reason.NO_MAIL_SERVER, Reason.NULL_MX})
_DESCRIPTIONS = {"reverse_dns": "NeedsRDNS"}
_IP_BLACKLISTED = "IpBlacklisted"


def reacher_json(address: str, verdict: Verdict, evidence: Evidence) -> dict[str, Any]:
    """Write a verdict and its evidence (docs/reference/verdicts.md) in Reacher's format."""
    return {
        "input": address,
        "is_reachable": words_for(verdict.status, verdict.reason).reacher,
        "misc": _misc(verdict, evidence),
        "mx": _mx(evidence),
        "smtp": _smtp(verdict, evidence),
        "syntax": _syntax(address, verdict, evidence),
        "debug": _debug(evidence),
    }


def _misc(verdict: Verdict, evidence: Evidence) -> dict[str, Any]:
    facts = evidence.facts
    return {
        "is_disposable": facts.disposable if facts else verdict.reason is Reason.DISPOSABLE,
        "is_role_account": facts.role if facts else verdict.reason is Reason.ROLE_ACCOUNT,
        "is_b2c": bool(facts and facts.free),
        "gravatar_url": None,
        "haveibeenpwned": None,
    }


def _mx(evidence: Evidence) -> dict[str, Any]:
    host = evidence.reply.mail_host if evidence.reply else ""
    return {"accepts_mail": bool(host), "records": [f"{host}."] if host else []}


def _smtp(verdict: Verdict, evidence: Evidence) -> dict[str, Any]:
    if verdict.reason in _TAKES_NO_MAIL:
        return dict(_NOTHING_SEEN)
    if verdict.status is OutcomeStatus.UNKNOWN:
        return _smtp_error(verdict, evidence)
    return {
        "can_connect_smtp": True,
        "has_full_inbox": verdict.reason is Reason.MAILBOX_FULL,
        "is_catch_all": bool(evidence.catch_all),
        "is_deliverable": verdict.status is not OutcomeStatus.INVALID and verdict.reason is not Reason.MAILBOX_FULL,
        "is_disabled": verdict.reason is Reason.MAILBOX_DISABLED,
    }


def _smtp_error(verdict: Verdict, evidence: Evidence) -> dict[str, Any]:
    reply = evidence.reply or ReplyEvidence()
    code, text = reply.reply_code, reply.reply_text or verdict.reason.value
    if code is None:
        return {"error": {"type": "IOError", "message": text}}
    severity = "permanent" if code >= 500 else "transient"
    error: dict[str, Any] = {"error": {"type": "AsyncSmtpError", "message": f"{severity}: {text}"}}
    if verdict.reason is Reason.BLOCKED:
        error["description"] = _DESCRIPTIONS.get(reply.detail, _IP_BLACKLISTED)
    return error


def _syntax(address: str, verdict: Verdict, evidence: Evidence) -> dict[str, Any]:
    if verdict.reason is Reason.SYNTAX:
        nothing = dict.fromkeys(("address", "normalized_email", "suggestion"))
        return {**nothing, "domain": "", "is_valid_syntax": False, "username": ""}
    username, _, domain = address.rpartition("@")
    facts = evidence.facts
    return {
        "address": address,
        "domain": domain,
        "is_valid_syntax": True,
        "username": username,
        "normalized_email": (facts and facts.same_mailbox) or address,
        "suggestion": facts.did_you_mean if facts else None,
    }


def _debug(evidence: Evidence) -> dict[str, Any]:
    reply = evidence.reply or ReplyEvidence()
    asked_at, seconds = reply.asked_at, reply.seconds
    end = (asked_at + timedelta(seconds=seconds)).isoformat() if asked_at else None
    method = {"type": "Smtp", "host": reply.mail_host} if reply.mail_host else {"type": "Skipped"}
    return {
        "backend_name": BACKEND_NAME,
        "start_time": asked_at.isoformat(timespec="milliseconds") if asked_at else None,
        "end_time": end,
        "duration": {"secs": int(seconds), "nanos": round(seconds % 1 * 1_000_000_000)},
        "smtp": {"verif_method": method},
    }
