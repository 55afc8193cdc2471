"""A verdict in the shape of Reacher's `CheckEmailOutput`, for what reads Reacher's answers today.

The shape as in check-if-email-exists 0.11 (core/src/util/input_output.rs, core/src/lib.rs, backend/openapi.json):
`smtp` is either details or an error, a host that could not be asked is an error, and a bad syntax leaves all details
at their defaults. What we do not look up (Gravatar, haveibeenpwned) is null.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

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


def reacher_json(address: str, verdict: Verdict, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Write a verdict and its evidence (docs/reference/verdicts.md) as Reacher would."""
    return {
        "input": address,
        "is_reachable": words_for(verdict.status, verdict.reason).reacher,
        "misc": _misc(verdict, evidence),
        "mx": _mx(evidence),
        "smtp": _smtp(verdict, evidence),
        "syntax": _syntax(address, verdict, evidence),
        "debug": _debug(evidence),
    }


def _misc(verdict: Verdict, evidence: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "is_disposable": bool(evidence.get("disposable", verdict.reason is Reason.DISPOSABLE)),
        "is_role_account": bool(evidence.get("role", verdict.reason is Reason.ROLE_ACCOUNT)),
        "is_b2c": bool(evidence.get("free", False)),
        "gravatar_url": None,
        "haveibeenpwned": None,
    }


def _mx(evidence: Mapping[str, Any]) -> dict[str, Any]:
    host = evidence.get("mail_host")
    return {"accepts_mail": bool(host), "records": [f"{host}."] if host else []}


def _smtp(verdict: Verdict, evidence: Mapping[str, Any]) -> dict[str, Any]:
    if verdict.reason in _TAKES_NO_MAIL:
        return dict(_NOTHING_SEEN)
    if verdict.status is OutcomeStatus.UNKNOWN:
        return _smtp_error(verdict, evidence)
    return {
        "can_connect_smtp": True,
        "has_full_inbox": verdict.reason is Reason.MAILBOX_FULL,
        "is_catch_all": bool(evidence.get("catch_all")),
        "is_deliverable": verdict.status is not OutcomeStatus.INVALID and verdict.reason is not Reason.MAILBOX_FULL,
        "is_disabled": verdict.reason is Reason.MAILBOX_DISABLED,
    }


def _smtp_error(verdict: Verdict, evidence: Mapping[str, Any]) -> dict[str, Any]:
    code, text = evidence.get("reply_code"), evidence.get("reply_text") or verdict.reason.value
    if code is None:
        return {"error": {"type": "IOError", "message": text}}
    severity = "permanent" if code >= 500 else "transient"
    error: dict[str, Any] = {"error": {"type": "AsyncSmtpError", "message": f"{severity}: {text}"}}
    if verdict.reason is Reason.BLOCKED:
        error["description"] = _DESCRIPTIONS.get(evidence.get("detail", ""), _IP_BLACKLISTED)
    return error


def _syntax(address: str, verdict: Verdict, evidence: Mapping[str, Any]) -> dict[str, Any]:
    if verdict.reason is Reason.SYNTAX:
        nothing = dict.fromkeys(("address", "normalized_email", "suggestion"))
        return {**nothing, "domain": "", "is_valid_syntax": False, "username": ""}
    username, _, domain = address.rpartition("@")
    return {
        "address": address,
        "domain": domain,
        "is_valid_syntax": True,
        "username": username,
        "normalized_email": evidence.get("same_mailbox") or address,
        "suggestion": evidence.get("did_you_mean"),
    }


def _debug(evidence: Mapping[str, Any]) -> dict[str, Any]:
    asked_at, seconds = evidence.get("asked_at"), float(evidence.get("seconds") or 0)
    end = (datetime.fromisoformat(asked_at) + timedelta(seconds=seconds)).isoformat() if asked_at else None
    method = {"type": "Smtp", "host": evidence["mail_host"]} if evidence.get("mail_host") else {"type": "Skipped"}
    return {
        "backend_name": BACKEND_NAME,
        "start_time": asked_at,
        "end_time": end,
        "duration": {"secs": int(seconds), "nanos": round(seconds % 1 * 1_000_000_000)},
        "smtp": {"verif_method": method},
    }
