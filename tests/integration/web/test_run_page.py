"""The page of a run: what came of it, its contacts, its files, and what can be done with it."""

import hashlib
import re
from html import unescape

import httpx
import pytest
from sqlalchemy import text

from cli.local.stack import Stack
from models.database import Database
from pipeline.outcomes import Reason
from sandbox.people import Person
from tests.integration.conftest import Client, Population, waiting_runs
from tests.integration.web.conftest import Visitor

NAMES = re.compile(r'<th role="rowheader" scope="row"><span class="name" title="([^"]*)"')


def full_name(person: Person) -> str:
    return f"{person.first_name} {person.last_name}"


def names_on(page: str) -> list[str]:
    return [unescape(name) for name in NAMES.findall(page)]


def test_a_completed_run_shows_what_came_of_it(visitor: Visitor, client: Client, finished_run: str) -> None:
    state = client.api.read_run(finished_run)
    counts, pricing = state["preview"]["delivered_counts"], state["preview"]["pricing"]

    page = visitor.get(f"/runs/{finished_run}").text

    assert f"an address was found for {counts['delivered_contacts']}, and {counts['verified_emails']} of those" in page
    for title, number in (
        ("Charged", 160),
        ("Given back", pricing["rebate_credits"]),
        ("Paid", pricing["net_credits"]),
    ):
        assert f"<dt>{title}</dt><dd>{number}<small>" in page
    for word, number in state["preview"]["verdicts"].items():
        assert re.search(rf'data-state="{word}">.*?</dt><dd>{number}<small>', page)


def test_each_reason_is_explained_in_the_engine_s_own_words(
    visitor: Visitor, client: Client, finished_run: str
) -> None:
    report = client.api.read_run(finished_run)["gap_report"]

    page = unescape(visitor.get(f"/runs/{finished_run}").text)

    reasons = [*report["reasons"], *report["unverified_reasons"]]
    assert reasons
    for reason in reasons:
        assert Reason(reason).sentence in page
        assert Reason(reason).advice in page


def test_contacts_come_in_the_order_in_which_they_were_sent(
    visitor: Visitor, population: Population, finished_run: str
) -> None:
    first = visitor.get(f"/runs/{finished_run}").text
    following = re.search(r'href="([^"]+#rows)"[^>]*>Next', first)
    assert following
    second = visitor.get(unescape(following[1]).partition("#")[0]).text

    seen = [*names_on(first), *names_on(second)]
    assert seen == [full_name(person) for person in population.hundred[:40]]


def test_contacts_are_filtered_by_verdict_and_by_reason(visitor: Visitor, client: Client, finished_run: str) -> None:
    report = client.api.read_run(finished_run)["gap_report"]
    reason, entry = next(iter(report["reasons"].items()))

    by_reason = names_on(visitor.get(f"/runs/{finished_run}", params={"reason": reason}).text)
    by_both = visitor.get(f"/runs/{finished_run}", params={"reason": reason, "verdict": "valid"}).text

    assert len(by_reason) == entry["count"]
    assert names_on(by_both) == []
    assert "No contact matches." in by_both


def test_a_file_is_downloaded_by_its_link_alone_and_is_the_one_that_the_api_gives(
    visitor: Visitor, client: Client, finished_run: str, stack: Stack
) -> None:
    page = visitor.get(f"/runs/{finished_run}").text
    links = {
        unescape(label): unescape(path)
        for path, label in re.findall(r'href="([^"]+)" download aria-label="([^"]+)"', page)
    }

    assert {"Download Contacts (CSV)", "Download Verified contacts", "Download Gap report"} <= set(links)
    assert "Download All contacts" not in links, "it is the export under another name"
    assert page.count(f"{client.api.read_run(finished_run)['export_handles'][0]['sha256'][:12]}…") == 1
    for handle in client.api.read_run(finished_run)["export_handles"]:
        path = next(path for path in links.values() if f"/exports/{handle['asset_id']}?" in path)
        got = httpx.get(f"{stack.credentials.api_url}{path}", trust_env=False)
        assert (got.status_code, hashlib.sha256(got.content).hexdigest()) == (200, handle["sha256"])
        assert handle["sha256"] in page


def test_verdicts_are_shown_by_mail_provider_and_add_up(visitor: Visitor, client: Client, finished_run: str) -> None:
    page = visitor.get(f"/runs/{finished_run}").text
    verdicts = client.api.read_run(finished_run)["preview"]["verdicts"]

    body = re.search(r'<table class="by-provider">.*?</table>', page, re.DOTALL)
    assert body
    rows = [
        [int(number) for number in re.findall(r'<td class="num">(\d+)</td>', row)]
        for row in re.findall(r"<tr><th scope=\"row\">.*?</tr>", body[0], re.DOTALL)
    ]
    sums = dict(zip(("all", "valid", "risky", "invalid", "unknown"), map(sum, zip(*rows, strict=True)), strict=True))
    assert sums["all"] == sum(verdicts.values())
    assert {word: sums[word] for word in verdicts} == verdicts


def test_the_charts_of_a_large_run_come_after_its_page(
    visitor: Visitor, finished_run: str, stack_database: Database
) -> None:
    whole = visitor.get(f"/runs/{finished_run}").text
    with stack_database.transaction() as session:
        session.execute(text("UPDATE runs SET contact_count = 20001 WHERE id = :id"), {"id": finished_run})
    later, charts = visitor.get(f"/runs/{finished_run}").text, visitor.get(f"/runs/{finished_run}/charts").text
    with stack_database.transaction() as session:
        session.execute(text("UPDATE runs SET contact_count = 40 WHERE id = :id"), {"id": finished_run})

    assert "by-provider" in whole
    assert "by-provider" not in later
    assert f'hx-get="/runs/{finished_run}/charts"' in later
    assert "by-provider" in charts


def test_a_further_format_is_asked_for_once(visitor: Visitor, client: Client, finished_run: str) -> None:
    answer = visitor.post(f"/runs/{finished_run}/exports", {"format": "ndjson"})
    refused = visitor.post(f"/runs/{finished_run}/exports", {"format": "../csv"})

    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{finished_run}#downloads")
    assert refused.status_code == 422
    assert '<option value="ndjson">' not in visitor.get(f"/runs/{finished_run}").text
    assert '<option value="xlsx">' in visitor.get(f"/runs/{finished_run}").text


def test_a_waiting_run_says_that_nothing_is_known_of_its_time(visitor: Visitor, waiting_run: str) -> None:
    page = visitor.get(f"/runs/{waiting_run}").text

    assert "No estimate yet" in page
    assert "No contact waits." in page
    assert "Waiting for a worker to start this run..." in page


def test_only_a_page_that_has_room_for_contacts_waits_for_them(visitor: Visitor, waiting_run: str) -> None:
    plain, filtered = (visitor.get(f"/runs/{waiting_run}", params={"verdict": v}).text for v in ("", "valid"))

    assert 'hx-trigger="sse:results"' in plain
    assert 'hx-trigger="sse:results"' not in filtered
    assert ">read them again</a>" in filtered


def test_cancelling_keeps_what_was_found_and_gives_the_rest_back(
    visitor: Visitor, client: Client, waiting_run: str
) -> None:
    asked = visitor.get(f"/runs/{waiting_run}").text
    answer = visitor.post(f"/runs/{waiting_run}/cancel")
    page = visitor.get(answer.headers["location"]).text

    assert "0 credits when this page was opened. The rest of the 12 credits comes back." in asked
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{waiting_run}")
    assert client.api.read_run(waiting_run)["status"] == "cancelled"
    assert "<dt>Given back</dt><dd>12<small>" in page
    assert "The run was cancelled." in page


def test_cancelling_twice_is_refused_with_the_reason(visitor: Visitor, waiting_run: str) -> None:
    visitor.post(f"/runs/{waiting_run}/cancel")

    answer = visitor.post(f"/runs/{waiting_run}/cancel")

    assert answer.status_code == 409
    assert "cancelled already" in answer.text


def test_a_retry_costs_what_its_button_says_and_is_offered_once(
    visitor: Visitor, client: Client, stack_database: Database
) -> None:
    [run_id] = waiting_runs(client, stack_database, 1, contacts=5)
    visitor.post(f"/runs/{run_id}/cancel")
    asked = visitor.get(f"/runs/{run_id}").text

    answer = visitor.post(f"/runs/{run_id}/retry")

    statement = client.http.get("/api/v1/growth/credits").json()["statement"]
    charge = next(entry for entry in statement if entry["kind"] == "charge")
    assert "Retry 5 contacts" in asked
    assert "20 credits are charged: 4 for each of the 5 contacts" in asked
    assert charge["credits"] == -20
    assert charge["run_id"] == answer.headers["location"].rpartition("/")[2]
    assert answer.headers["location"] != f"/runs/{run_id}"
    assert f'href="{answer.headers["location"]}">See its retry' in visitor.get(f"/runs/{run_id}").text


def test_the_timeline_has_chunks_for_those_who_want_them(visitor: Visitor, finished_run: str) -> None:
    short, whole = (visitor.get(f"/runs/{finished_run}", params={"timeline": t}).text for t in ("", "all"))

    assert "Stage begins: Find addresses" in short
    assert "Completed" in short
    assert len(re.findall("<li", whole)) >= len(re.findall("<li", short))


@pytest.mark.parametrize("path", ["nonsense", "0" * 36, "00000000-0000-0000-0000-000000000000", "%7B%7D"])
def test_a_run_that_is_not_there_is_a_page_that_says_so(visitor: Visitor, path: str) -> None:
    answer = visitor.get(f"/runs/{path}")

    assert answer.status_code == 404
    assert "There is nothing here" in answer.text
