"""Quotes, presets, balance and statement over HTTP, for two accounts."""

import csv
import io
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import httpx
import pytest

from cli.local.stack import Stack
from models.database import Database
from tests.integration.conftest import Client, Population, contacts_of, end_runs, opened_client

API = "/api/v1/growth"


def plan_of(population: Population, count: int = 3) -> dict[str, Any]:
    return {
        "pipeline_id": "email_discovery_v1",
        "preset": "full_pipeline",
        "input_assets": {"contacts": contacts_of(population.hundred[:count])},
    }


def quote(client: Client, plan: object, **more: object) -> dict[str, Any]:
    answer = client.http.post(f"{API}/quote", json={"goal_plan": plan, **more})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def run(client: Client, plan: object, token: object, **headers: str) -> httpx.Response:
    return client.http.post(f"{API}/run", json={"goal_plan": plan, "quote_token": token}, headers=headers)


def test_a_quote_names_the_price_and_its_token_is_good_for_one_run_of_one_account(
    client: Client, stranger: Client, population: Population
) -> None:
    quoted = quote(client, plan_of(population), max_external_spend_credits=12)

    assert list(quoted) == [
        "ok", "quotable", "quote_token", "expiry", "credits_total", "cost_breakdown", "provider_estimate",
        "expected_artifacts", "goal_plan", "suggested_next_action",
    ]  # fmt: skip
    assert (quoted["ok"], quoted["quotable"], quoted["credits_total"]) == (True, True, 12)
    assert quoted["cost_breakdown"] == {"enrichment": 12}
    assert (
        0 <= quoted["expected_artifacts"]["verified_emails"] <= quoted["expected_artifacts"]["enriched_contacts"] <= 3
    )
    assert quoted["goal_plan"]["output"]["required_fields"] == ["email"]

    theirs = run(stranger, quoted["goal_plan"], quoted["quote_token"])
    first = run(client, quoted["goal_plan"], quoted["quote_token"], **{"Idempotency-Key": "one"})
    again = run(client, quoted["goal_plan"], quoted["quote_token"], **{"Idempotency-Key": "one"})
    second = run(client, quoted["goal_plan"], quoted["quote_token"])

    assert [each.status_code for each in (theirs, first, again, second)] == [403, 202, 202, 403]
    assert first.json()["run_id"] == again.json()["run_id"]
    assert "used before" in second.json()["detail"]
    assert client.finished(first.json()["run_id"])["preview"]["pricing"]["charged_credits"] == 12


def test_a_large_plan_is_quoted_and_run_as_it_was_sent(client: Client, population: Population) -> None:
    plan = plan_of(population)
    plan["input_assets"]["contacts"] = [{**contact, "note": "x" * 500} for contact in contacts_of(population.crowd)]

    quoted = quote(client, plan)
    created = run(client, plan, quoted["quote_token"])

    assert quoted["credits_total"] == 4 * len(population.crowd)
    assert created.status_code == 202, created.text
    client.api.cancel_run(created.json()["run_id"])


def test_a_quote_that_the_balance_does_not_cover_says_how_many_credits_to_buy(
    client: Client, population: Population
) -> None:
    many = [{"full_name": f"Ada Example{number}", "domain": "alpha.test"} for number in range(25_001)]
    plan = plan_of(population) | {"input_assets": {"contacts": many}}

    assert quote(client, plan)["suggested_next_action"].startswith("Buy 4 credits")


BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str, list[str]]] = {
    "a preset that is unknown": ({"preset": "magic"}, {}, "invalid_goal_plan", []),
    "no contacts": (
        {"input_assets": {"contacts": []}}, {}, "missing_input_assets", ["goal_plan.input_assets.contacts"],
    ),
    "no assets": ({"input_assets": {}}, {}, "missing_input_assets", ["goal_plan.input_assets.contacts"]),
    "a contact that can't be worked": (
        {"input_assets": {"contacts": [{"full_name": "Ada Example"}]}}, {}, "invalid_goal_plan", [],
    ),
    "too little to spend": ({}, {"max_external_spend_credits": 11}, "max_external_spend_too_low", []),
    "a limit that is no number": ({}, {"max_external_spend_credits": "much"}, "quote_validation_failed", []),
}  # fmt: skip


@pytest.mark.parametrize(("change", "more", "code", "missing"), BAD.values(), ids=list(BAD))
def test_a_plan_that_can_not_be_quoted_says_why_and_what_to_do(
    client: Client,
    population: Population,
    change: dict[str, Any],
    more: dict[str, Any],
    code: str,
    missing: list[str],
) -> None:
    refused = quote(client, plan_of(population) | change, **more)

    assert list(refused) == [
        "ok", "quotable", "missing_requirements", "error_code", "detail", "suggested_next_action",
    ]  # fmt: skip
    assert (refused["ok"], refused["quotable"]) == (False, False)
    assert (refused["error_code"], refused["missing_requirements"]) == (code, missing)
    assert refused["detail"]
    assert refused["suggested_next_action"].endswith(".")


def test_a_quote_whose_body_is_not_json_is_400(client: Client) -> None:
    assert client.http.post(f"{API}/quote", content=b"{").status_code == 400


def test_a_quote_without_a_plan_is_an_invalid_plan(client: Client) -> None:
    refused = client.http.post(f"{API}/quote", json={}).json()

    assert (refused["error_code"], refused["missing_requirements"]) == ("invalid_goal_plan", ["goal_plan"])


def test_presets_say_what_they_need_and_cost(client: Client) -> None:
    presets = {each["name"]: each for each in client.http.get(f"{API}/presets").json()["presets"]}

    assert list(presets) == ["full_pipeline", "verify_existing_emails"]
    assert presets["full_pipeline"]["stages"] == ["email_lookup", "email_verify"]
    assert ["domain", "full_name"] in presets["full_pipeline"]["needs"]
    assert presets["verify_existing_emails"]["needs"] == [["email"]]
    assert presets["verify_existing_emails"]["credits_per_contact"] == 4


def test_balance_and_held_follow_a_run_from_its_start_to_its_end(
    client: Client, stranger: Client, population: Population
) -> None:
    run_id = client.create(population.crowd)
    price = 4 * len(population.crowd)
    begun = client.http.get(f"{API}/credits").json()
    client.api.cancel_run(run_id)
    ended = client.http.get(f"{API}/credits").json()
    theirs = stranger.http.get(f"{API}/credits").json()

    assert list(begun) == ["balance", "held", "statement", "next"]
    assert (begun["balance"], begun["held"]) == (100_000 - price, price)
    assert [(entry["kind"], entry["credits"], entry["held"]) for entry in begun["statement"]] == [
        ("charge", -price, price),
        ("grant", 100_000, 0),
    ]
    assert begun["statement"][0]["run_id"] == run_id
    back = ended["statement"][0]["credits"]
    assert (ended["balance"], ended["held"]) == (100_000 - price + back, 0)
    assert ended["statement"][0]["held"] == -price
    assert [entry["kind"] for entry in theirs["statement"]] == ["grant"]


def test_of_fifty_submits_at_once_exactly_those_are_taken_that_the_credits_cover(
    stack: Stack, stack_database: Database, population: Population
) -> None:
    plan = plan_of(population, 1)
    with opened_client(stack, stack_database, credits_granted=40) as poor:

        def submit(number: int) -> int:
            # One in two has a token, whose price counts as well.
            token = quote(poor, plan)["quote_token"] if number % 2 else None
            return run(poor, plan, token).status_code

        with ThreadPoolExecutor(50) as clients:
            answers = Counter(clients.map(submit, range(50)))

        assert answers == {202: 10, 402: 40}
        statement = poor.http.get(f"{API}/credits").json()["statement"]
        assert sum(entry["kind"] == "charge" for entry in statement) == 10
        end_runs(stack_database, poor.account.account_id)


def test_the_statement_comes_page_by_page_and_whole_as_csv(client: Client, population: Population) -> None:
    client.api.cancel_run(client.create(population.hundred[:3]))

    pages: list[list[dict[str, Any]]] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = client.http.get(f"{API}/credits", params=query).json()
        pages.append(page["statement"])
        if page["next"] is None:
            break
        query["before"] = page["next"]
    whole = client.http.get(f"{API}/credits/statement.csv")

    assert [[entry["kind"] for entry in page] for page in pages] == [["rebate", "charge"], ["grant"]]
    assert whole.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(whole.text)))
    expected = [{key: "" if value is None else str(value) for key, value in entry.items()} for entry in chain(*pages)]
    assert rows == expected
