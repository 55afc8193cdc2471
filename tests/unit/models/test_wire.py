"""What clients may send: refused with the contact, the field and the reason; never with the value."""

import json
from typing import Any

import pytest

from api.bodies import parse_run_request
from pipeline.errors import InvalidInput

PERSON = {"first_name": "Ada", "last_name": "Example", "domain": "alpha.test"}


def body(*contacts: Any, preset: str = "full_pipeline", **plan: Any) -> bytes:
    goal_plan = {
        "pipeline_id": "email_discovery_v1",
        "preset": preset,
        "input_assets": {"contacts": list(contacts)},
        **plan,
    }
    return json.dumps({"goal_plan": goal_plan}).encode()


def refusal(data: bytes, max_contacts: int = 100) -> str:
    with pytest.raises(InvalidInput) as refused:
        parse_run_request(data, max_contacts)
    return str(refused.value)


def test_the_request_of_the_contract_is_accepted() -> None:
    data = body(
        {"first_name": "Grace", "last_name": "Hopper", "company": "Example Co", "domain": "example.com"},
        output={"required_fields": ["email"], "preview_rows": 10},
    )

    plan = parse_run_request(data, 100).goal_plan

    assert (plan.preset, plan.output.preview_rows) == ("full_pipeline", 10)


@pytest.mark.parametrize(
    ("contact", "expected"),
    [
        ({"full_name": "A B"}, "contact 2: field domain is missing"),
        ({"first_name": "A", "domain": "a.test"}, "contact 2: field full_name is missing"),
        ({**PERSON, "domain": 7}, "contact 2, field domain: Input should be a valid string"),
        ({**PERSON, "first_name": "x" * 201}, "contact 2, field first_name: String should have at most 200"),
        ({**PERSON, "last_name": "a\x00b"}, "contact 2, field last_name: control characters"),
        ({**PERSON, "note": {"deep": "a\x00b"}}, "contact 2: field note: a further column holds a NUL"),
        ({**PERSON, "note": "x" * 30_000}, "contact 2: field note: more than 20000 characters"),
        ("Ada Example", "contact 2: Input should be an object"),
    ],
)
def test_a_bad_contact_is_named_by_number_and_field(contact: Any, expected: str) -> None:
    assert expected in refusal(body(PERSON, contact))


def test_many_bad_contacts_are_counted_not_listed() -> None:
    assert refusal(body(*[{"full_name": "A B"}] * 25)).endswith("and 15 more")


@pytest.mark.parametrize(
    ("contacts", "expected"),
    [
        ([{"full_name": 1}] * 1012, "the rest was not read"),
        ([{**PERSON, f"column_{number}": 1} for number in range(201)], "contact 201: field column_200"),
    ],
)
def test_a_body_is_read_no_further_once_it_is_refused(contacts: list[Any], expected: str) -> None:
    unread = body(*contacts, "no JSON").replace(b'"no JSON"', b"no JSON")

    assert expected in refusal(unread, 10_000)


def test_the_value_is_never_repeated() -> None:
    assert "secret-name" not in refusal(body({**PERSON, "domain": ["secret-name"]}))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (body(), "field goal_plan.input_assets.contacts"),
        (body(PERSON, preset="everything"), "field goal_plan.preset"),
        (body(PERSON, output={"preview_rows": 101}), "field goal_plan.output.preview_rows"),
        (body(PERSON, surprise=1), "field goal_plan.surprise"),
        (body(PERSON, preset="verify_existing_emails"), "contact 1: field email is missing"),
        (b"{}", "field goal_plan: it is missing: give it"),
        (body(PERSON, surprise=1), "field goal_plan.surprise: there is no such field: correct its name"),
        (body(), "contacts: it has too few entries: give at least 1"),
        (body(PERSON, output={"preview_rows": "some"}), "preview_rows: it is no whole number: give one"),
        (body(PERSON, output={"required_fields": "email"}), "required_fields: it is no list: put it in brackets"),
        (b"[]", "the body: Input should be an object"),
    ],
)
def test_a_bad_order_is_named_by_field(data: bytes, expected: str) -> None:
    assert expected in refusal(data)


def test_too_many_contacts_are_refused_with_the_limit() -> None:
    assert "more contacts than the 2 of one run" in refusal(body(PERSON, PERSON, PERSON), max_contacts=2)


def test_a_company_without_a_domain_is_accepted_if_the_engine_knows_companies() -> None:
    contact = {"full_name": "Grace Hopper", "company": "Example Co"}

    assert "field domain is missing" in refusal(body(contact))
    assert parse_run_request(body(contact), 100, knows_companies=True)


def test_a_company_alone_still_needs_a_name() -> None:
    with pytest.raises(InvalidInput, match="field full_name is missing"):
        parse_run_request(body({"company": "Example Co"}), 100, knows_companies=True)
