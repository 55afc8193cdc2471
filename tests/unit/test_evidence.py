"""Evidence as a value and as JSON: nothing is lost between the two, and what earlier versions wrote can be read."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evidence import (
    NO_EVIDENCE,
    AddressFacts,
    CacheEvidence,
    Evidence,
    KnownLookup,
    ReplyEvidence,
    SearchEvidence,
)

TEXTS = st.text(max_size=20)
ZONES = st.integers(-720, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
SECONDS = st.datetimes(timezones=ZONES).map(lambda at: at.replace(microsecond=0))
MILLISECONDS = st.builds(lambda at, ms: at.replace(microsecond=1000 * ms), SECONDS, st.integers(0, 999))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers() | FLOATS | TEXTS
JSON = st.recursive(SCALARS, lambda each: st.lists(each) | st.dictionaries(TEXTS, each), max_leaves=5)

REPLIES = st.builds(
    ReplyEvidence,
    TEXTS,
    TEXTS,
    st.none() | st.integers(200, 599),
    TEXTS,
    st.none() | MILLISECONDS,
    FLOATS,
    TEXTS,
    TEXTS,
    TEXTS,
)
PARTS = {
    "reply": REPLIES,
    "catch_all": st.booleans(),
    "random_probe": REPLIES,
    "facts": st.builds(AddressFacts, st.booleans(), st.booleans(), st.booleans(), TEXTS, st.none() | TEXTS, TEXTS),
    "search": st.builds(
        SearchEvidence, st.integers(0), TEXTS, st.binary(max_size=32), st.lists(TEXTS, max_size=3).map(tuple)
    ),
    "pattern": TEXTS,
    "confidence": FLOATS,
    "known": st.builds(KnownLookup, TEXTS, TEXTS, st.none() | st.integers(200, 599), st.none() | MILLISECONDS),
    "cache": st.builds(CacheEvidence, st.none() | SECONDS, st.integers(0)),
    "sources": st.dictionaries(TEXTS, TEXTS, max_size=3),
    "mail_server": TEXTS,
    "provided": st.dictionaries(TEXTS, SCALARS, max_size=3),
    "dns": TEXTS,
    "syntax": TEXTS,
    "come_back_after_seconds": st.integers(0),
}
EVIDENCE = st.fixed_dictionaries({}, optional=PARTS).map(lambda parts: Evidence(**parts))
KEYS = sorted({"invented"} | set(Evidence._fields) | set(ReplyEvidence._fields) | set(SearchEvidence._fields))

A_VERIFICATION_OF_0_1 = {
    "meaning": "accepted", "mail_host": "mx.acme.test", "reply_code": 250, "reply_text": "2.1.5 Ok",
    "asked_at": "2026-01-02T03:04:05.678+00:00", "seconds": 0.041, "rule": "delivered", "catch_all": False,
    "invented": {"meaning": "no_such_mailbox", "mail_host": "mx.acme.test", "reply_code": 550, "reply_text": "no"},
    "provider": None, "disposable": False, "free": False, "role": True, "did_you_mean": None,
    "same_mailbox": "info@acme.test", "cache": {"checked_at": "2026-01-02T03:04:05+00:00", "age_seconds": 60},
}  # fmt: skip
A_LOOK_UP_OF_0_1 = {
    "pattern": "flast", "confidence": 0.93, "catch_all": None, "asked": 3, "domain": "acme.test", "person": "ab" * 32,
    "refused": ["first.last"], "mail_host": "mx.acme.test", "reply_code": 250, "sources": {"script": "not_found"},
    "mail_server": "every_candidate_refused", "verification": "valid",
}  # fmt: skip


REPLY = ReplyEvidence("accepted", "mx.acme.test", 250, "Ok", None, 0.1, "2.1.5", "delivered", "helo")
FULL = Evidence(
    reply=REPLY,
    catch_all=False,
    random_probe=REPLY,
    facts=AddressFacts(
        disposable=False, free=False, role=False, provider="", did_you_mean=None, same_mailbox="grace@acme.test"
    ),
    search=SearchEvidence(1, "acme.test", b"p" * 32, ("flast",)),
    pattern="flast",
    confidence=0.9,
    known=KnownLookup("flast"),
    cache=CacheEvidence(None, 60),
    sources={"script": "found"},
    mail_server="catch_all",
    provided={"verification": "valid"},
    dns="SERVFAIL",
    syntax="The address has no @.",
    come_back_after_seconds=300,
)


def stored(data: dict[str, Any]) -> dict[str, Any]:
    """As Postgres or a file gives it back."""
    loaded: dict[str, Any] = json.loads(json.dumps(data))
    return loaded


@given(EVIDENCE)
def test_what_is_stored_is_read_back_the_same(evidence: Evidence) -> None:
    assert Evidence.from_json(stored(evidence.to_json())) == evidence


def test_the_documented_keys_are_those_that_are_written(project_root: Path) -> None:
    page = (project_root / "docs/reference/verdicts.md").read_text()
    section = page.partition("## Evidence\n")[2].partition("\n## ")[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]

    assert {key for cell in cells for key in re.findall(r"`(\w+)`", cell)} == set(FULL.to_json())


@given(st.dictionaries(st.sampled_from(KEYS) | TEXTS, JSON))
def test_any_json_object_can_be_read(data: dict[str, Any]) -> None:
    evidence = Evidence.from_json(data)

    assert Evidence.from_json(stored(evidence.to_json())) == evidence


def test_a_verification_of_an_earlier_version_can_be_read() -> None:
    evidence = Evidence.from_json(A_VERIFICATION_OF_0_1)

    asked_at = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
    assert evidence == Evidence(
        reply=ReplyEvidence("accepted", "mx.acme.test", 250, "2.1.5 Ok", asked_at, 0.041, rule="delivered"),
        catch_all=False,
        random_probe=ReplyEvidence("no_such_mailbox", "mx.acme.test", 550, "no"),
        facts=AddressFacts(
            disposable=False, free=False, role=True, provider="", did_you_mean=None, same_mailbox="info@acme.test"
        ),
        cache=CacheEvidence(asked_at.replace(microsecond=0), 60),
    )


def test_a_look_up_of_an_earlier_version_can_be_read() -> None:
    evidence = Evidence.from_json(A_LOOK_UP_OF_0_1)

    assert evidence == Evidence(
        reply=ReplyEvidence(mail_host="mx.acme.test", reply_code=250),
        search=SearchEvidence(3, "acme.test", bytes.fromhex("ab" * 32), ("first.last",)),
        pattern="flast",
        confidence=0.93,
        sources={"script": "not_found"},
        mail_server="every_candidate_refused",
    )


def test_no_evidence_is_an_empty_object() -> None:
    assert NO_EVIDENCE.to_json() == {}
    assert Evidence.from_json({}) == NO_EVIDENCE


@pytest.mark.parametrize("name", ["mail_host", "meaning", "catch_all", "same_mailbox", "person"])
def test_evidence_of_a_provider_is_not_mistaken_for_that_of_a_mail_server(name: str) -> None:
    evidence = Evidence(provided={name: "acme.test"})

    assert Evidence.from_json(stored(evidence.to_json()))._replace(provided={}) == NO_EVIDENCE
