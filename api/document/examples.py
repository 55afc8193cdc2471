"""Examples for the OpenAPI document: a run in each of its states, each error, and what is sent and answered most."""

from collections.abc import Iterator, Mapping
from typing import Any

RUN_ID = "7c3e1d22-9b4a-4f8c-b1e2-3d5f0a7c9e1b"
ROOT = "/api/v1/growth"
JSON = "application/json"
_AT = "2026-11-30T08:00:00Z"
_TOTAL = 100


def _state(status: str, percent: int, message: str, done: tuple[int, int], **more: Any) -> dict[str, Any]:
    lookup, verify = done
    progress = {
        "percent": percent,
        "message": message,
        "stages": {
            "email_lookup": {"done": lookup, "total": _TOTAL},
            "email_verify": {"done": verify, "total": _TOTAL},
        },
        "updated_at": _AT,
    }
    empty: dict[str, Any] = {name: [] for name in ("result_handles", "artifact_handles", "export_handles")}
    empty |= {name: {} for name in ("preview", "data_source_mix", "gap_report")}
    return {
        "run_id": RUN_ID,
        "status": status,
        "stage_status": more.pop("stage_status", {}),
        "progress": progress | more.pop("progress", {}),
        **empty,
        **more,
    }


def _results(found: int, verified: int, reason: str, why: str, advice: str) -> dict[str, Any]:
    missing = _TOTAL - found
    return {
        "preview": {
            "delivered_counts": {"delivered_contacts": found, "verified_emails": verified},
            "verdicts": {"valid": verified, "risky": found - verified},
            "pricing": {"charged_credits": 400, "rebate_credits": 4 * missing, "net_credits": 4 * found},
        },
        "data_source_mix": {
            "enriched": found, "by_stage": {"email_lookup": found}, "by_source": {"pattern": found},
        },
        "gap_report": {
            "unresolved": missing,
            "reasons": {reason: {"count": missing, "explanation": why, "advice": advice}},
            "unverified": found - verified,
            "unverified_reasons": {},
        },
    }  # fmt: skip


_REFUSED = ("every_candidate_refused", "The domain's mail server refused every likely address for this name.",
            "Check the name and whether the person still works there; add a middle or former name.")  # fmt: skip
_STOPPED = ("run_stopped", "The run ended before this contact was worked.",
            "Retry the run: it continues where it ended.")  # fmt: skip
_FILE = {
    "asset_id": "contacts_csv", "format": "csv", "mime_type": "text/csv", "rows": _TOTAL, "bytes": 9_140,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "download_url": f"{ROOT}/runs/{RUN_ID}/exports/contacts_csv?expires=1796112000&signature=mJ9yq",
}  # fmt: skip
_FOUND = {
    "first_name": "Grace", "last_name": "Hopper", "full_name": "", "company": "Example Co", "domain": "example.com",
    "input_email": None, "crm_id": "4711", "email": "grace.hopper@example.com", "email_status": "valid",
    "email_reason": "mailbox_exists", "email_score": 98, "email_source": "pattern",
}  # fmt: skip
_BOTH = {"email_lookup": "completed", "email_verify": "completed"}

STATES: Mapping[str, dict[str, Any]] = {
    "pending": _state("pending", 0, "Waiting for a worker...", (0, 0)),
    "running": _state(
        "running", 45, "Discovering email addresses...", (90, 0), stage_status={"email_lookup": "running"}
    ),
    "completed": _state(
        "completed", 100, "Run complete.", (100, 100), stage_status=_BOTH, result_handles=[_FOUND],
        artifact_handles=[{"asset_id": "verified_contacts", "label": "Verified Contacts", "kind": "contacts"}],
        export_handles=[_FILE], **_results(95, 78, *_REFUSED),
    ),
    "failed": _state(
        "failed", 0, "No mail server could be reached at all: check that port 25 is open.", (0, 0),
        stage_status={"email_lookup": "failed"},
        progress={"error": {
            "code": "smtp_port_blocked", "stage": "email_lookup",
            "message": "No mail server could be reached at all: check that port 25 is open.",
        }},
        **_results(0, 0, *_STOPPED),
    ),
    "cancelled": _state(
        "cancelled", 45, "Run cancelled.", (90, 0), stage_status={"email_lookup": "cancelled"}, export_handles=[_FILE],
        **_results(80, 0, *_STOPPED),
    ),
}  # fmt: skip
"""A run in each of its states."""

ERRORS: Mapping[str, str] = {
    "400": "The body is not JSON: Expecting value.",
    "401": "This API key is not valid: check it, or create one with `growth account create`.",
    "402": "This run costs 400 credits (100 contacts at 4), and the account has 20: buy credits.",
    "403": "This account has no active paid subscription: renew it, then try again.",
    "404": "There is no run with this id.",
    "408": "No more of the body arrived for 20 seconds: send the request again.",
    "409": "This run is completed already: only a pending or running one can be cancelled.",
    "412": "Version 1.0.0 of the tus protocol is spoken here.",
    "415": "The Content-Type must be one of application/offset+octet-stream, application/octet-stream.",
    "416": "The file has 9140 bytes: request a range within them.",
    "422": "contact 3: field domain is missing: give the company's domain, or an email to verify",
    "429": "More than 600 requests in a minute: wait 12 seconds. `Retry-After` says when to try again.",
    "503": "The database is not available right now: try again in 5 seconds.",
}
"""What the API says with each status."""

PLAN: dict[str, Any] = {
    "pipeline_id": "email_discovery_v1",
    "preset": "full_pipeline",
    "input_assets": {
        "contacts": [
            {"first_name": "Grace", "last_name": "Hopper", "company": "Example Co", "domain": "example.com"},
            {"full_name": "Ada Byrne", "domain": "example.org", "crm_id": "4712"},
        ]
    },
    "output": {"required_fields": ["email"], "preview_rows": 10},
}
_OF_UPLOAD = PLAN | {"input_assets": {"upload_id": "0198f3a2-6c1e-7d3b-9a57-1f0e2d3c4b5a"}}
ACCEPTED: dict[str, Any] = {
    "status": "running",
    "run_id": RUN_ID,
    "preview": {"message": "Enrichment has been queued.", "pipeline_id": "full_pipeline"},
}
_QUOTE: dict[str, Any] = {
    "ok": True, "quotable": True, "quote_token": "WyIwMTk4ZjNhMiJd.c2lnbmF0dXJl", "expiry": _AT, "credits_total": 8,
    "cost_breakdown": {"enrichment": 8}, "provider_estimate": {"cost": 0.0, "based_on_contacts": 0},
    "expected_artifacts": {"verified_emails": 1, "enriched_contacts": 2}, "goal_plan": PLAN,
    "suggested_next_action":
        "Send this goal_plan with the quote_token to POST /api/v1/growth/run before the quote expires.",
}  # fmt: skip
_NO_QUOTE: dict[str, Any] = {
    "ok": False, "quotable": False, "missing_requirements": ["goal_plan.input_assets.contacts"],
    "error_code": "missing_input_assets", "detail": "contacts or upload_id is needed: give one of them",
    "suggested_next_action": "Add at least one contact to goal_plan.input_assets.contacts.",
}  # fmt: skip

BODIES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    (f"{ROOT}/run", "post"): {"contacts": {"goal_plan": PLAN}, "an upload": {"goal_plan": _OF_UPLOAD}},
    (f"{ROOT}/quote", "post"): {"contacts": {"goal_plan": PLAN, "max_external_spend_credits": 500}},
    (f"{ROOT}/uploads/{{upload_id}}/reading", "put"): {
        "another column": {"preset": "full_pipeline", "mapping": {"domain": "Company Website"}, "encoding": None}
    },
    (f"{ROOT}/suppressions", "post"): {"entries": {"entries": ["grace.hopper@example.com", "example.org"]}},
}
"""What is sent."""

ANSWERS: Mapping[tuple[str, str, str], Mapping[str, Any]] = {
    (f"{ROOT}/run", "post", "202"): {"accepted": ACCEPTED},
    (f"{ROOT}/quote", "post", "200"): {"quotable": _QUOTE, "not quotable": _NO_QUOTE},
    (f"{ROOT}/runs/{{run_id}}", "get", "200"): STATES,
    (f"{ROOT}/runs/{{run_id}}/cancel", "post", "200"): {"cancelled": STATES["cancelled"]},
    (f"{ROOT}/runs/{{run_id}}/exports", "post", "202"): {"completed": STATES["completed"]},
    (f"{ROOT}/runs/{{run_id}}/retry", "post", "202"): {"accepted": ACCEPTED},
    (f"{ROOT}/runs/{{run_id}}/results", "get", "200"): {
        "a page": {"status": "completed", "results": [_FOUND], "next": None}
    },
}
"""What is answered."""


def add_examples(document: dict[str, Any]) -> None:
    """Add the examples to the OpenAPI document."""
    for path, method, call in _calls(document):
        for status, answer in call["responses"].items():
            examples = ANSWERS.get((path, method, status)) or _of_error(path, status)
            if examples and JSON in answer.get("content", {}):
                answer["content"][JSON]["examples"] = _named(examples)
        if body := BODIES.get((path, method)):
            call["requestBody"]["content"][JSON]["examples"] = _named(body)


def _calls(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            yield path, method, call


def _of_error(path: str, status: str) -> Mapping[str, Any] | None:
    sentence = ERRORS.get(status)
    return {"error": {"detail": sentence}} if sentence and path.startswith(ROOT) else None


def _named(examples: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in examples.items()}
