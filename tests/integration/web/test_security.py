"""What keeps others out of the page: other accounts, other sites, and what contacts hold."""

import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from uuid import uuid4

import pytest
from sqlalchemy import text

from models.database import Database
from tests.integration.conftest import Client
from tests.integration.web.conftest import Visitor
from web.security import POLICY

Visit = Callable[[], Visitor]

PAYLOAD = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}</textarea><svg/onload=alert(1)>"


class Inline(HTMLParser):
    """Finds scripts and styles that stand in a page itself, as a browser's parser would."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in given):
            self.found.append(tag)
        self.found += [name for name in given if name == "style" or name.startswith("on")]
        self.found += [value for value in given.values() if value and value.lower().strip().startswith("javascript:")]


def inline_code(page: str) -> list[str]:
    parser = Inline()
    parser.feed(page)
    return parser.found


def pages(run_ids: Sequence[str]) -> list[str]:
    return ["/login", "/runs", "/runs?status=failed", "/account", "/nowhere", *(f"/runs/{each}" for each in run_ids)]


def test_code_in_a_page_would_be_found() -> None:
    assert inline_code("<p onclick=x style='y'><script>z</script><a href='javascript:z'>") == [
        "onclick", "style", "script", "javascript:z"
    ]  # fmt: skip


def test_no_page_needs_an_inline_script_or_style_and_each_forbids_them(
    visitor: Visitor, visit: Visit, finished_run: str, waiting_run: str
) -> None:
    for browser in (visitor, visit()):
        for path in pages([finished_run, waiting_run]):
            answer = browser.get(path)

            assert answer.headers["content-security-policy"] == POLICY
            assert inline_code(answer.text) == [], path
    assert "unsafe" not in POLICY
    assert "default-src 'none'" in POLICY


def test_pages_are_not_kept_by_anybody_and_not_shown_in_frames(visitor: Visitor, finished_run: str) -> None:
    headers = visitor.get(f"/runs/{finished_run}").headers

    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_a_run_of_another_account_can_t_be_told_from_one_that_is_not_there(
    visit: Visit, stranger: Client, finished_run: str, waiting_run: str
) -> None:
    browser = visit()
    browser.sign_in(stranger.account.api_key)

    for run_id in (finished_run, waiting_run):
        missing = str(uuid4())
        for path in ("/runs/{}", "/runs/{}/live"):
            theirs, nobodys = browser.get(path.format(run_id)), browser.get(path.format(missing))
            assert theirs.status_code == nobodys.status_code == 404
            assert theirs.text.replace(run_id, missing) == nobodys.text
        for action in ("cancel", "retry"):
            assert browser.post(f"/runs/{run_id}/{action}").status_code == 404


def test_rows_of_another_accounts_runs_are_not_sent(visit: Visit, stranger: Client, waiting_run: str) -> None:
    browser = visit()
    browser.sign_in(stranger.account.api_key)

    events = list(browser.live(f"/runs/live?run={waiting_run}"))

    assert [event.kind for event in events] == ["close"]


def test_a_key_of_another_account_can_t_be_revoked(
    visit: Visit, stranger: Client, client: Client, stack_database: Database
) -> None:
    browser = visit()
    browser.sign_in(stranger.account.api_key)
    with stack_database.transaction() as session:
        key_id = session.scalar(
            text("SELECT id FROM api_keys WHERE account_id = :id"), {"id": client.account.account_id}
        )

    browser.post(f"/account/keys/{key_id}/revoke")

    assert client.http.get("/api/v1/growth/credits").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
@pytest.mark.parametrize(
    "path", ["/login", "/logout", "/account/keys", "/account/hooks", "/runs/{}/cancel", "/account/suppressions"]
)
def test_a_form_of_another_site_changes_nothing(
    visitor: Visitor, client: Client, waiting_run: str, path: str, headers: dict[str, str]
) -> None:
    form = {"key": client.account.api_key, "entries": "alpha.test", "url": "https://alpha.test/", "run.failed": "yes"}

    answer = visitor.post(path.format(waiting_run), form, **headers)

    assert answer.status_code == 403
    assert client.api.read_run(waiting_run)["status"] == "pending"
    account = visitor.get("/account").text
    assert account.count('data-opens="revoke-') == 1
    assert 'data-opens="delete-' not in account


def test_a_form_must_be_one(visitor: Visitor) -> None:
    answer = visitor.post("/account/suppressions", {"entries": "alpha.test"}, **{"Content-Type": "text/plain"})

    assert answer.status_code == 400


def test_a_form_may_not_be_of_any_size(visitor: Visitor) -> None:
    answer = visitor.post("/account/suppressions", {"entries": "a" * 5_000_000})

    assert answer.status_code == 400
    assert "larger than" in answer.text


@pytest.mark.parametrize("field", ["first_name", "last_name", "full_name", "company", "email", "further", "column"])
def test_what_a_contact_holds_is_text_on_the_page(visitor: Visitor, client: Client, field: str) -> None:
    contact = {"first_name": "Grace", "last_name": "Hopper", "domain": "alpha.test"}
    contact |= {PAYLOAD: "x"} if field == "column" else {field: PAYLOAD}
    run_id = client.api.create_run([contact], "full_pipeline")
    client.finished(run_id)

    answer = visitor.get(f"/runs/{run_id}")

    assert answer.status_code == 200
    for piece in ("<script>alert", "<img src=x", "<svg/onload", "</textarea>"):
        assert piece not in answer.text
    assert inline_code(answer.text) == []
    if field in ("first_name", "full_name"):
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text


@pytest.mark.parametrize("name", ["status", "preset", "since", "verdict", "reason", "timeline", "next"])
def test_what_a_link_holds_is_not_shown(visitor: Visitor, finished_run: str, name: str) -> None:
    for path in ("/runs", f"/runs/{finished_run}", "/login"):
        assert "<script>alert" not in visitor.get(path, params={name: PAYLOAD}).text


def test_an_account_s_name_is_text_on_the_page(visitor: Visitor, client: Client, stack_database: Database) -> None:
    with stack_database.transaction() as session:
        session.execute(
            text("UPDATE accounts SET name = :name WHERE id = :id"),
            {"name": PAYLOAD, "id": client.account.account_id},
        )

    assert "<script>alert" not in visitor.get("/runs").text


def test_the_api_answers_as_before_beside_the_page(visitor: Visitor, client: Client) -> None:
    unknown, wrong = client.http.get("/api/v1/growth/nothing"), client.http.put("/api/v1/growth/run")
    with_cookie = visitor.get("/api/v1/growth/runs")

    assert (unknown.status_code, unknown.json()) == (404, {"detail": "There is no such path: /docs lists all."})
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert with_cookie.status_code == 401, "a cookie opens the page, and never the API"


def test_a_program_gets_errors_of_the_page_as_json(client: Client) -> None:
    missing, not_signed_in = client.http.get("/nowhere"), client.http.get("/runs")

    assert (missing.status_code, set(missing.json())) == (404, {"detail"})
    assert (not_signed_in.status_code, set(not_signed_in.json())) == (401, {"detail"})


def test_files_of_the_page_are_kept_for_good_since_their_names_change(visit: Visit) -> None:
    browser = visit()
    login = browser.get("/login").text
    paths = re.findall(r'(?:href|src)="(/assets/[^"]+)"', login)

    assert len(paths) >= 3
    for path in paths:
        first = browser.get(path)
        again = browser.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (first.status_code, again.status_code) == (200, 304)
        assert "immutable" in first.headers["cache-control"]
    assert browser.get("/assets/style.css").status_code == 404
    assert browser.get("/assets/../app.py").status_code == 404
