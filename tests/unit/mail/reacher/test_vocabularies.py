"""Verdicts in the vocabularies of other services, and as Reacher's JSON."""

from itertools import product
from pathlib import Path

import pytest

from pipeline.evidence import NO_EVIDENCE, Evidence
from pipeline.mail.reacher.render import reacher_json
from pipeline.mail.reacher.vocabularies import VOCABULARY, words_for
from pipeline.mail.replies.meaning import Meaning
from pipeline.mail.verdict import INVALID_SYNTAX, verdict_on_mailbox, verdict_on_route
from pipeline.outcomes import OutcomeStatus, Reason

REACHER = {"safe", "risky", "invalid", "unknown"}
ZEROBOUNCE = {"valid", "invalid", "catch-all", "unknown", "spamtrap", "abuse", "do_not_mail"}
NEVERBOUNCE = {"valid", "invalid", "disposable", "catchall", "unknown"}
HUNTER = {"valid", "invalid", "accept_all", "webmail", "disposable", "unknown"}
ROUTES = [
    Reason.NO_SUCH_DOMAIN,
    Reason.NO_MAIL_SERVER,
    Reason.NULL_MX,
    Reason.DNS_FAILURE,
    Reason.UNUSABLE_MAIL_HOST,
]
SEEN = {
    "mail_host": "mx.acme.test",
    "reply_code": 250,
    "reply_text": "2.1.5 Ok",
    "asked_at": "2026-01-02T03:04:05.000+00:00",
    "seconds": 1.25,
    "catch_all": False,
}


def possible_verdicts() -> set[tuple[OutcomeStatus, Reason]]:
    mailboxes = [
        verdict_on_mailbox(
            meaning, catch_all=catch_all, role=role, disposable=disposable, misspelled=misspelled, later_bounces=later
        )
        for meaning, catch_all, role, disposable, misspelled, later in product(
            Meaning, (True, False, None), *[(True, False)] * 4
        )
    ]
    verdicts = [*mailboxes, *map(verdict_on_route, ROUTES), INVALID_SYNTAX]
    fault = (OutcomeStatus.UNKNOWN, Reason.INTERNAL_ERROR)
    return {(verdict.status, verdict.reason) for verdict in verdicts} | {fault}


def test_each_verdict_has_its_word_in_each_vocabulary_and_there_are_no_others() -> None:
    assert set(VOCABULARY) == possible_verdicts()


def test_each_word_is_one_of_its_vocabulary() -> None:
    words = VOCABULARY.values()

    assert {each.reacher for each in words} <= REACHER
    assert {each.zerobounce[0] for each in words} <= ZEROBOUNCE
    assert {each.neverbounce for each in words} <= NEVERBOUNCE
    assert {each.hunter for each in words} <= HUNTER


def test_only_what_is_valid_is_safe_to_reacher() -> None:
    safe = {status for (status, _), words in VOCABULARY.items() if words.reacher == "safe"}

    assert safe == {OutcomeStatus.VALID}


def test_hunter_calls_valid_addresses_of_free_providers_webmail() -> None:
    assert words_for(OutcomeStatus.VALID, Reason.MAILBOX_EXISTS, free=True).hunter == "webmail"
    assert words_for(OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX, free=True).hunter == "invalid"


@pytest.mark.parametrize(("status", "reason"), sorted(VOCABULARY))
def test_each_verdict_is_documented_in_the_same_words(
    project_root: Path, status: OutcomeStatus, reason: Reason
) -> None:
    words = VOCABULARY[status, reason]
    zerobounce = " / ".join(f"`{word}`" for word in words.zerobounce if word)

    row = f"| `{status}` | `{reason}` | `{words.reacher}` | {zerobounce} | `{words.neverbounce}` | `{words.hunter}` |"

    assert row in (project_root / "docs/reference/verdicts.md").read_text()


def test_a_valid_address_looks_as_reacher_shows_it() -> None:
    verdict = verdict_on_mailbox(Meaning.ACCEPTED, catch_all=False, role=False)

    assert reacher_json("grace@acme.test", verdict, Evidence.from_json(SEEN)) == {
        "input": "grace@acme.test",
        "is_reachable": "safe",
        "misc": {
            "is_disposable": False,
            "is_role_account": False,
            "is_b2c": False,
            "gravatar_url": None,
            "haveibeenpwned": None,
        },
        "mx": {"accepts_mail": True, "records": ["mx.acme.test."]},
        "smtp": {
            "can_connect_smtp": True,
            "has_full_inbox": False,
            "is_catch_all": False,
            "is_deliverable": True,
            "is_disabled": False,
        },
        "syntax": {
            "address": "grace@acme.test",
            "normalized_email": "grace@acme.test",
            "suggestion": None,
            "domain": "acme.test",
            "is_valid_syntax": True,
            "username": "grace",
        },
        "debug": {
            "backend_name": "growth-engine",
            "start_time": "2026-01-02T03:04:05.000+00:00",
            "end_time": "2026-01-02T03:04:06.250000+00:00",
            "duration": {"secs": 1, "nanos": 250_000_000},
            "smtp": {"verif_method": {"type": "Smtp", "host": "mx.acme.test"}},
        },
    }


@pytest.mark.parametrize(
    ("meaning", "evidence", "smtp"),
    [
        (
            Meaning.BLOCKED,
            {"reply_code": 550, "reply_text": "5.7.1 blocked", "detail": "blocklist"},
            {
                "error": {"type": "AsyncSmtpError", "message": "permanent: 5.7.1 blocked"},
                "description": "IpBlacklisted",
            },
        ),
        (
            Meaning.BLOCKED,
            {"reply_code": 450, "reply_text": "4.7.25 no PTR", "detail": "reverse_dns"},
            {"error": {"type": "AsyncSmtpError", "message": "transient: 4.7.25 no PTR"}, "description": "NeedsRDNS"},
        ),
        (
            Meaning.UNREACHABLE,
            {"reply_code": None, "reply_text": "No mail host could be reached."},
            {"error": {"type": "IOError", "message": "No mail host could be reached."}},
        ),
    ],
)
def test_an_unknown_verdict_is_an_error_to_reacher(
    meaning: Meaning, evidence: dict[str, object], smtp: dict[str, object]
) -> None:
    verdict = verdict_on_mailbox(meaning, catch_all=None, role=False)

    output = reacher_json("grace@acme.test", verdict, Evidence.from_json(SEEN | evidence))

    assert (output["is_reachable"], output["smtp"]) == ("unknown", smtp)


def test_what_is_no_address_has_nothing_but_its_input() -> None:
    output = reacher_json("grace", INVALID_SYNTAX, NO_EVIDENCE)

    assert output["is_reachable"] == "invalid"
    assert not any(output["smtp"].values())
    assert output["syntax"]["is_valid_syntax"] is False
    assert output["mx"] == {"accepts_mail": False, "records": []}
