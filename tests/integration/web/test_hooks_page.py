"""Hooks on the page: added, changed, their log, and the deliveries of a run."""

import re
from collections.abc import Callable, Iterator, Mapping
from html import unescape
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from models.database import Database
from models.hook import HookEvent
from pipeline.hooks.endpoints import add_hook
from tests.faults.engine import wait_until
from tests.integration.conftest import Client, Population, waiting_runs
from tests.integration.web.conftest import Visitor
from tests.integration.web.hooks import TRIED, deliveries, disabled_hook
from tests.integration.web.test_security import PAYLOAD, inline_code
from tests.unit.hooks.receiver import Receiver, running_receiver
from web.pages.hooks import DELIVERIES_ON_A_PAGE

API = "/api/v1/growth/hooks"
SECRET = re.compile(r'<code id="hook-secret">(whsec_[\w+/=]+)</code>')
ROWS = re.compile(r'href="/runs/[0-9a-f-]{36}" title="([0-9a-f-]{36})"')
BOXES = {"run.completed": "yes", "run.failed": "yes", "run.cancelled": "yes"}
URL = "https://crm.acme.example/growth"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


def form(**given: str) -> Mapping[str, str]:
    return {"url": URL, "description": "CRM", "runs": "all"} | BOXES | given


def only_hook(client: Client) -> Mapping[str, str]:
    [hook] = client.http.get(API).json()["hooks"]
    return dict(hook)


def test_a_hook_that_is_added_gets_the_end_of_a_run_and_can_get_it_again(
    visitor: Visitor, client: Client, population: Population, receiver: Receiver
) -> None:
    added = visitor.post("/account/hooks", form(url=receiver.url))
    secret = SECRET.search(added.text)
    assert secret
    hook_id = only_hook(client)["hook_id"]
    run_id = client.create(population.hundred[:1])
    client.finished(run_id)
    wait_until(lambda: "Delivered" in visitor.get(f"/runs/{run_id}").text, "the delivery", seconds=20)

    page, log = visitor.get(f"/runs/{run_id}").text, visitor.get(f"/account/hooks/{hook_id}").text
    [again] = re.findall(r'action="(/account/hooks/[^"]+/deliveries/[^"]+/replay)"', page)
    answer = visitor.post(again, {"run_id": run_id})
    wait_until(lambda: len(receiver.received) == 2, "the replay", seconds=20)

    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run_id}#hooks")
    assert {each.verified(secret[1])["type"] for each in receiver.received} == {"run.completed"}
    assert len({each.id for each in receiver.received}) == 1
    assert f'href="/account/hooks/{hook_id}?run_id={run_id}#log"' in page
    assert ROWS.findall(log) == [run_id]
    assert added.headers["cache-control"] == "no-store"
    for later in (visitor.get("/account").text, page, log):
        assert secret[1] not in later


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"url": "ftp://crm.acme.example/"}, "url: it must begin with https://."),
        ({"url": "https://grace:secret@crm.acme.example/"}, "url: it has a user name or a password"),
        ({"url": ""}, "url: "),
        ({"url": "https://crm.acme.example/" + "x" * 2000}, "url: "),
        ({"description": "x" * 201}, "description: "),
        ({"description": "a\x00b"}, "description: "),
        ({"runs": "some"}, "runs: "),
    ],
)
def test_what_the_api_refuses_is_refused_with_its_sentence_and_stays_in_the_form(
    visitor: Visitor, client: Client, given: dict[str, str], sentence: str
) -> None:
    answer = visitor.post("/account/hooks", form(**given))

    assert answer.status_code == 200
    assert 'role="alert"' in answer.text
    assert f"Nothing was added: {sentence}" in unescape(answer.text)
    assert 'name="run.completed" value="yes" checked' in answer.text
    assert 'name="run.progress" value="yes">' in answer.text
    assert client.http.get(API).json() == {"hooks": []}


def test_a_hook_without_events_is_refused(visitor: Visitor, client: Client) -> None:
    answer = visitor.post("/account/hooks", {"url": URL, "runs": "all"})

    assert "Nothing was added: events: choose what the hook is notified of." in answer.text
    assert '<details class="data" open>' in answer.text
    assert "aria-invalid" not in answer.text
    assert client.http.get(API).json() == {"hooks": []}


def test_a_hook_is_changed_disabled_enabled_given_a_new_secret_and_deleted(visitor: Visitor, client: Client) -> None:
    first = SECRET.search(visitor.post("/account/hooks", form()).text)
    path = f"/account/hooks/{only_hook(client)['hook_id']}"
    refused = visitor.post(path, form(url="gopher://x.example"))
    unchanged = only_hook(client)
    changed = visitor.post(path, {"url": f"{URL}/2", "description": "", "runs": "named", "contact.finished": "yes"})
    hook = only_hook(client)
    disabled, page = visitor.post(f"{path}/disable"), visitor.get(path).text
    is_enabled = [only_hook(client)["enabled"]]
    visitor.post(f"{path}/enable")
    is_enabled.append(only_hook(client)["enabled"])
    rotated = visitor.post(f"{path}/rotate", {"overlap": "24"})
    second = SECRET.search(rotated.text)
    wrong = visitor.post(f"{path}/rotate", {"overlap": "1e9"})
    deleted = visitor.post(f"{path}/delete")

    assert "Nothing was changed: url: it must begin with https://." in refused.text
    assert unchanged["url"] == URL
    assert (changed.status_code, changed.headers["location"], disabled.headers["location"]) == (303, path, path)
    assert (hook["url"], hook["description"], hook["runs"]) == (f"{URL}/2", "", "named")
    assert hook["events"] == ["contact.finished"]
    assert "This hook is disabled: by you." in page
    assert is_enabled == [False, True]
    assert first
    assert second
    assert first[1] != second[1]
    assert rotated.headers["cache-control"] == "no-store"
    assert wrong.status_code == 422
    assert deleted.headers["location"] == "/account#hooks"
    assert visitor.get(path).status_code == 404
    assert client.http.get(API).json() == {"hooks": []}


class Logged(NamedTuple):
    """A hook that is disabled, so that nothing is sent to it, with the log that a test gives it."""

    path: str
    hook_id: UUID
    runs: list[str]


@pytest.fixture
def logged(client: Client, stack_database: Database) -> Logged:
    runs = [*waiting_runs(client, stack_database, 2)]
    for run_id in runs:
        client.api.cancel_run(run_id)
    hook_id = disabled_hook(stack_database, client, URL, "CRM")
    return Logged(f"/account/hooks/{hook_id}", hook_id, runs)


def test_the_log_comes_in_pages_and_is_filtered_by_state_and_run(
    visitor: Visitor, stack_database: Database, logged: Logged
) -> None:
    one, other = logged.runs
    deliveries(stack_database, logged.hook_id, one, "delivered", 2 * DELIVERIES_ON_A_PAGE, event="contact.finished")
    deliveries(stack_database, logged.hook_id, other, "dead", 3)
    seen, path = [], logged.path
    while path:
        page = visitor.get(path).text
        seen += ROWS.findall(page)
        older = re.search(r'href="([^"]+after=[0-9a-f-]+)#log">Older', page)
        path = unescape(older[1]) if older else ""
    dead, of_one = (visitor.get(logged.path, params=each).text for each in ({"state": "dead"}, {"run_id": one}))

    assert seen == [other] * 3 + [one] * 2 * DELIVERIES_ON_A_PAGE
    assert ROWS.findall(dead) == [other] * 3
    assert set(ROWS.findall(of_one)) == {one}
    assert "Replay 3 dead deliveries" in dead
    assert "2 contacts" in of_one


def test_dead_deliveries_are_replayed_from_the_account_and_from_the_run(
    visitor: Visitor, client: Client, stack_database: Database, logged: Logged
) -> None:
    one, other = logged.runs
    deliveries(stack_database, logged.hook_id, one, "dead", 2)
    deliveries(stack_database, logged.hook_id, other, "dead", 1)
    listed, run = visitor.get("/account").text, visitor.get(f"/runs/{one}").text

    of_run = visitor.post(f"{logged.path}/replay", {"run_id": one})
    left = client.http.get(f"{API}/{logged.hook_id}/deliveries", params={"state": "dead"}).json()["deliveries"]
    of_all = visitor.post(f"{logged.path}/replay")

    assert "3 dead deliveries" in listed
    assert "Replay 2 dead</button>" in run
    assert (of_run.headers["location"], of_all.headers["location"]) == (f"/runs/{one}#hooks", logged.path)
    assert [each["run_id"] for each in left] == [other]
    assert "dead deliver" not in visitor.get("/account").text
    assert "waits until the hook is enabled" in visitor.get(f"/runs/{one}").text


def test_a_run_without_hooks_says_so(visitor: Visitor, waiting_run: str) -> None:
    waiting = visitor.get(f"/runs/{waiting_run}").text
    visitor.post(f"/runs/{waiting_run}/cancel")

    assert "Notifies hook" not in waiting
    assert "No hook was notified of this run." in visitor.get(f"/runs/{waiting_run}").text


def test_an_active_run_names_the_hooks_that_it_notifies(
    visitor: Visitor, client: Client, stack_database: Database, waiting_run: str
) -> None:
    visitor.post("/account/hooks", form())

    assert f"?run_id={waiting_run}#log" in visitor.get(f"/runs/{waiting_run}").text


def test_a_delivery_that_is_pending_is_not_replayed(visitor: Visitor, stack_database: Database, logged: Logged) -> None:
    [message_id] = deliveries(stack_database, logged.hook_id, logged.runs[0], "pending", 1)

    answer = visitor.post(f"{logged.path}/deliveries/{message_id}/replay")

    assert answer.status_code == 409
    assert "This delivery is pending" in answer.text


def test_a_hook_of_another_account_can_t_be_told_from_one_that_is_not_there(
    visit: Callable[[], Visitor], client: Client, stranger: Client, stack_database: Database, logged: Logged
) -> None:
    [message_id] = deliveries(stack_database, logged.hook_id, logged.runs[0], "dead", 1)
    browser, missing = visit(), str(uuid4())
    browser.sign_in(stranger.account.api_key)
    before = only_hook(client)

    theirs, nobodys = browser.get(logged.path), browser.get(f"/account/hooks/{missing}")
    answers = [
        browser.post(f"{logged.path}{action}", form() | {"overlap": "0"}).status_code
        for action in (
            "", "/enable", "/disable", "/rotate", "/delete", "/replay", f"/deliveries/{message_id}/replay"
        )
    ]  # fmt: skip

    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.text.replace(str(logged.hook_id), missing) == nobodys.text
    assert answers == [404] * 7
    assert only_hook(client) == before
    assert browser.get(f"{logged.path}?after={message_id}").status_code == 404


def test_what_leads_nowhere_is_an_error_that_says_so(visitor: Visitor, logged: Logged) -> None:
    links = {"run_id=nonsense": 404, "run_id=../../x": 404, "after=nonsense": 422, f"after={uuid4()}": 404}
    answers = {link: visitor.get(f"{logged.path}?{link}").status_code for link in links}
    elsewhere = visitor.post(f"{logged.path}/replay", {"run_id": "//elsewhere.example"})

    assert answers == links
    assert elsewhere.status_code == 422


def test_what_hooks_and_their_logs_hold_is_text_on_the_page(
    visitor: Visitor, client: Client, stack_database: Database
) -> None:
    [run_id] = waiting_runs(client, stack_database, 1)
    client.api.cancel_run(run_id)
    hook_id = disabled_hook(stack_database, client, f"https://{PAYLOAD}/{PAYLOAD}", PAYLOAD)
    problem = [TRIED | {"problem": PAYLOAD}, TRIED | {"problem": PAYLOAD}]
    deliveries(stack_database, hook_id, run_id, "dead", 1, attempts=problem)
    with stack_database.transaction() as session:
        last = {"url": f"https://hooks.example/{PAYLOAD}", "description": PAYLOAD}
        failing = add_hook(session, client.account.account_id, **last, events=list(HookEvent), every_run=True)
        session.execute(
            text("UPDATE hooks SET failures = 1, failing_since = now(), not_before = now() + interval '1 day'"
                 " WHERE id = :id"),
            {"id": failing.id},
        )  # fmt: skip

    typed = visitor.post("/account/hooks", form(url=PAYLOAD, description=PAYLOAD))
    pages = [visitor.get(path) for path in ("/account", f"/account/hooks/{hook_id}", f"/runs/{run_id}")]

    for page in (typed, *pages):
        assert page.status_code == 200
        assert inline_code(page.text) == []
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
        for piece in ("<script>alert", "<img src=x", "<svg/onload", "</textarea><svg"):
            assert piece not in page.text
