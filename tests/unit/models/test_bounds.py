"""What one request may hold: at each bound it is accepted, one past it is refused with contact, field and bound."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from api.bodies import parse_entries, parse_erasure, parse_run_request
from models.bounds import BOUNDS
from models.wire import GoalPlan
from pipeline.errors import InvalidInput

PERSON = {"full_name": "Ada Example", "domain": "alpha.test"}


def plan(*contacts: Any, **output: Any) -> dict[str, Any]:
    return {
        "pipeline_id": "email_discovery_v1",
        "preset": "full_pipeline",
        "input_assets": {"contacts": list(contacts)},
        "output": output,
    }


def over_http(plan: dict[str, Any]) -> str:
    """The refusal that a client of the API gets for a plan; empty if it is accepted."""
    try:
        parse_run_request(json.dumps({"goal_plan": plan}).encode(), 1000)
    except InvalidInput as refusal:
        return str(refusal)
    return ""


def in_process(plan: dict[str, Any]) -> str:
    """The refusal that a caller in the same process gets; empty if the plan is accepted."""
    try:
        GoalPlan.model_validate(plan)
    except ValidationError as refusal:
        return str(refusal)
    return ""


def columns(count: int, start: int = 0) -> dict[str, int]:
    return {f"column_{number}": 1 for number in range(start, start + count)}


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


def of_a_run(count: int) -> list[dict[str, Any]]:
    return [PERSON | columns(100), PERSON | columns(100, start=100), PERSON | columns(count - 200, start=200)]


@pytest.mark.parametrize("refusal_of", [over_http, in_process])
@pytest.mark.parametrize(
    ("of", "bound", "place"),
    [
        (lambda n: plan(PERSON | {"first_name": "x" * n}), 200, "first_name"),
        (lambda n: plan(PERSON | {"company": "x" * n}), 200, "company"),
        (lambda n: plan(PERSON | {"domain": "x" * n}), 320, "domain"),
        (lambda n: plan(PERSON | {"email": "x" * n}), 320, "email"),
        (lambda n: plan(PERSON | columns(n)), 100, "more than 100 further columns"),
        (lambda n: plan(*of_a_run(n)), 200, "contact 3: field column_"),
        (lambda n: plan(PERSON | {"x" * n: 1}), 200, "field xxx"),
        (lambda n: plan(PERSON | {"note": "x" * (n - len('{"note": ""}'))}), 20_000, "field note"),
        (lambda n: plan(PERSON | {"note": nested(n)}), 20, "field note"),
        (lambda n: plan(PERSON | {"note": [1] * n}), 1_000, "field note"),
        (lambda n: plan(PERSON | {"note": 10**n - 1}), 100, "field note"),
        (lambda n: plan(PERSON | {"note": -(10**n) + 1}), 100, "field note"),
        (lambda n: plan(PERSON, preview_rows=n), 100, "preview_rows"),
    ],
    ids=[
        "name", "company", "domain", "email", "columns of a contact", "columns of a run", "column's name",
        "characters", "depth", "values", "digits", "negative digits", "preview_rows",
    ],
)  # fmt: skip
def test_a_plan_at_its_bound_is_accepted_and_one_past_it_refused(
    refusal_of: Callable[[dict[str, Any]], str], of: Callable[[int], dict[str, Any]], bound: int, place: str
) -> None:
    refusal = refusal_of(of(bound + 1))

    assert refusal_of(of(bound)) == ""
    assert place in refusal
    assert str(bound) in refusal


@pytest.mark.parametrize("refusal_of", [over_http, in_process])
@pytest.mark.parametrize(
    ("contact", "expected"),
    [
        ({"revenue": float("nan")}, "field revenue: NaN"),
        ({"revenue": float("-inf")}, "field revenue: NaN"),
        ({"revenue": {"a": [float("nan")]}}, "field revenue: NaN"),
        ({"note": "a\x00b"}, "field note: a further column holds a NUL"),
        ({"note": [{"inner\x00": 1}]}, "field note: the name of a column holds a NUL"),
        ({"no\x00te": 1}, "field no\N{REPLACEMENT CHARACTER}te: the name of a column holds a NUL"),
        ({"note": "half \ud83d of a pair"}, "field note: a further column holds half a surrogate pair"),
    ],
)
def test_what_is_no_json_value_or_no_text_is_refused_with_its_column(
    refusal_of: Callable[[dict[str, Any]], str], contact: dict[str, Any], expected: str
) -> None:
    assert expected in refusal_of(plan(PERSON | contact))


@pytest.mark.parametrize("refusal_of", [over_http, in_process])
def test_half_a_surrogate_pair_in_a_name_is_refused(refusal_of: Callable[[dict[str, Any]], str]) -> None:
    assert "last_name" in refusal_of(plan(PERSON | {"last_name": "Byron\ud800"}))


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"NaN", b"Infinity", b"9" * 101, b"9" * 5000])
def test_numbers_that_can_not_come_back_as_they_were_are_refused_with_their_contact(number: bytes) -> None:
    body = json.dumps({"goal_plan": plan(PERSON, PERSON | {"revenue": 0})}).encode()

    with pytest.raises(InvalidInput, match="contact 2"):
        parse_run_request(body.replace(b'"revenue": 0', b'"revenue": ' + number), 10)


@pytest.mark.parametrize("refusal_of", [over_http, in_process])
@pytest.mark.parametrize("value", [2**63, -(2**64), 10**99, 1.5, True, None, {}, "\\x00", "\\u0000", "tab\there", "😀"])
def test_other_values_are_accepted(refusal_of: Callable[[dict[str, Any]], str], value: Any) -> None:
    assert refusal_of(plan(PERSON | {"note": value, "inner": [{"of": value}]})) == ""


@pytest.mark.parametrize("refusal_of", [over_http, in_process])
@pytest.mark.parametrize(
    "output",
    [
        {"export_formats": ["csv", "csv"]},
        {"export_formats": ["csv"] * 1000},
        {"export_formats": ["pdf"]},
        {"required_fields": ["email", "email"]},
        {"required_fields": ["email"] * 1000},
        {"required_fields": ["phone"]},
        {"preview_rows": "10"},
        {"preview_rows": True},
        {"fresh": "yes"},
    ],
)
def test_each_name_may_stand_once_and_numbers_are_no_text(
    refusal_of: Callable[[dict[str, Any]], str], output: dict[str, Any]
) -> None:
    assert next(iter(output)) in refusal_of(plan(PERSON, **output))


def test_lists_that_hold_themselves_end() -> None:
    endless: list[Any] = []
    endless.append(endless)
    wide: list[Any] = [1]
    for _ in range(15):
        wide = [wide] * 10

    assert "within each other" in in_process(plan(PERSON | {"note": endless}))
    assert "values within" in in_process(plan(PERSON | {"note": wide}))


@pytest.mark.parametrize(
    ("parse", "body", "bound"),
    [
        (parse_entries, lambda n: {"entries": ["alpha.test"] * n}, 10_000),
        (parse_entries, lambda n: {"entries": ["x" * n]}, 320),
        (parse_erasure, lambda n: {"people": [{"email": "ada@alpha.test"}] * n}, 1_000),
        (parse_erasure, lambda n: {"people": [PERSON | {"last_name": "x" * n}]}, 200),
    ],
)
def test_other_bodies_have_their_bounds(
    parse: Callable[[bytes], object], body: Callable[[int], object], bound: int
) -> None:
    parse(json.dumps(body(bound)).encode())

    with pytest.raises(InvalidInput, match=str(bound)):
        parse(json.dumps(body(bound + 1)).encode())


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.of)
def test_each_bound_is_documented_in_the_same_words(project_root: Path, bound: Any) -> None:
    assert f"| {bound.of} | {bound.most:,} |" in (project_root / "docs/reference/api.md").read_text()
