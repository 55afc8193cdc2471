"""The account's page: statement, keys, suppression list."""

import re
from html import unescape

import httpx
import pytest

from models.database import Database
from tests.integration.conftest import Client, Population, waiting_runs
from tests.integration.web.browser import execute
from tests.integration.web.conftest import Visitor
from web.pages.account import ENTRIES_ON_A_PAGE

BALANCES = re.compile(r'data-label="Balance">([\d,]+)</td>')
TYPED = re.compile(r"<textarea[^>]*>\n(.*?)</textarea>", re.DOTALL)
MOVEMENTS = re.compile(r'data-label="Credits">([+−][\d,]+)</td>')


def numbers(found: list[str]) -> list[int]:
    return [int(each.replace(",", "").replace("−", "-")) for each in found]


def test_each_balance_follows_from_the_one_before_over_all_pages(
    visitor: Visitor, client: Client, stack_database: Database
) -> None:
    waiting_runs(client, stack_database, ENTRIES_ON_A_PAGE + 3)
    balances, movements, path = [], [], "/account"
    while path:
        page = visitor.get(path).text
        balances += numbers(BALANCES.findall(page))
        movements += numbers(MOVEMENTS.findall(page))
        older = re.search(r'href="(/account\?before=[0-9a-f-]+)#statement">Older', page)
        path = older[1] if older else ""

    assert len(balances) == ENTRIES_ON_A_PAGE + 4
    assert balances[0] == client.http.get("/api/v1/growth/credits").json()["balance"]
    assert [after - movement for after, movement in zip(balances, movements, strict=True)] == [*balances[1:], 0]


def test_a_run_that_gave_nothing_back_is_one_line_of_the_statement(
    visitor: Visitor, client: Client, waiting_run: str, stack_database: Database
) -> None:
    visitor.post(f"/runs/{waiting_run}/cancel")
    both = visitor.get("/account").text
    execute(
        stack_database,
        waiting_run,
        "UPDATE credit_ledger SET credits = 0, revenue = -held WHERE run_id = :id AND kind = 'rebate'",
    )

    page = visitor.get("/account").text

    assert numbers(MOVEMENTS.findall(both))[:2] == [12, -12]
    assert numbers(MOVEMENTS.findall(page))[0] == -12
    assert "Given back" not in page


def test_the_whole_statement_is_downloaded_as_the_api_gives_it(visitor: Visitor, client: Client) -> None:
    ours, api = visitor.get("/account/statement.csv"), client.http.get("/api/v1/growth/credits/statement.csv")

    assert (ours.status_code, ours.content) == (200, api.content)
    assert ours.headers["content-disposition"] == api.headers["content-disposition"]


def test_a_new_key_is_shown_once_and_works(visitor: Visitor, client: Client) -> None:
    answer = visitor.post("/account/keys")
    made = re.search(r'<code id="new-key">(growth_[\w-]+)</code>', answer.text)
    assert made

    with_it = httpx.get(
        client.http.base_url.join("/api/v1/growth/credits"),
        headers={"Authorization": f"Bearer {made[1]}"},
        trust_env=False,
    )

    assert with_it.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert made[1] not in visitor.get("/account").text


def test_revoking_another_key_keeps_this_browser_in(visitor: Visitor) -> None:
    visitor.post("/account/keys")
    page = visitor.get("/account").text
    other = re.findall(r'action="(/account/keys/[0-9a-f-]+/revoke)"', page)[-1]

    answer = visitor.post(other)

    assert answer.headers["location"] == "/account"
    assert "Revoked" in visitor.get("/account").text


def test_revoking_the_key_that_one_signed_in_with_signs_out(visitor: Visitor) -> None:
    [own] = re.findall(r'action="(/account/keys/[0-9a-f-]+/revoke)"', visitor.get("/account").text)

    answer = visitor.post(own)

    assert answer.headers["location"] == "/login"
    assert visitor.token == ""


def test_entries_are_added_to_the_suppression_list_checked_and_removed(
    visitor: Visitor, client: Client, population: Population
) -> None:
    added = visitor.post(
        "/account/suppressions", {"entries": "grace@alpha.test\n\n  BETA.test \ngrace@alpha.test"}
    ).text
    listed = visitor.post("/account/suppressions/check", {"entry": "Grace@alpha.test", "do": "check"}).text
    by_domain = visitor.post("/account/suppressions/check", {"entry": "ada@beta.test", "do": "check"}).text
    removed = visitor.post("/account/suppressions/check", {"entry": "grace@alpha.test", "do": "remove"}).text
    gone = visitor.post("/account/suppressions/check", {"entry": "grace@alpha.test", "do": "check"}).text

    assert "2 added, 1 were on the list already." in added
    assert "1 address, 1 domain" in added
    assert "It is suppressed." in listed
    assert "It is suppressed." in by_domain
    assert "Removed from the list." in removed
    assert "It is not suppressed." in gone


@pytest.mark.parametrize("path", ["/account/suppressions", "/account/suppressions/check"])
def test_an_entry_that_is_none_changes_nothing_and_is_not_repeated_but_where_it_was_typed(
    visitor: Visitor, path: str
) -> None:
    answer = visitor.post(path, {"entries": "beta.test\nno such thing", "entry": "no such thing", "do": "check"})

    assert answer.status_code == 200
    assert 'role="alert"' in answer.text
    assert "neither an address, nor a domain" in answer.text
    assert "no such thing" not in TYPED.sub("", answer.text)
    assert "empty</p>" in answer.text


def test_a_bad_line_is_named_and_what_was_typed_stays(visitor: Visitor) -> None:
    typed = "\nbeta.test\n\n</textarea><b>no such thing\ngrace@alpha.test\n"

    answer = visitor.post("/account/suppressions", {"entries": typed})
    corrected = visitor.post("/account/suppressions", {"entries": typed.replace("</textarea><b>no such thing", "")})

    kept = TYPED.search(answer.text)
    assert kept
    assert unescape(kept[1]) == typed
    assert "Nothing was added: line 4: " in answer.text
    assert "entry " not in answer.text.partition('id="suppress-said"')[2].partition("</p>")[0]
    assert "2 added" in corrected.text
    assert [unescape(each) for each in TYPED.findall(corrected.text)] == [""]
