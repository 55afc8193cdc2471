"""Each page in each of its states, in a real browser: nothing overflows, and axe finds nothing to object to."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from cli.accounts import set_operator
from cli.local.stack import Stack
from models.database import Database
from models.run import Run
from pipeline.outcomes import Reason
from tests.integration.conftest import Client, Population, end_runs, opened_client, waiting_runs
from tests.integration.web.browser import GREYLISTED, Open, check, execute, needs_a_browser, sign_in
from tests.integration.web.hooks import TRIED, deliveries, disabled_hook

pytestmark = [needs_a_browser, pytest.mark.proof]

FAILED = """
UPDATE runs SET status = 'failed', finished_at = now(), error_code = 'no_mail_servers_reachable',
  error_stage = 'email_lookup',
  error_message = 'No mail server can be reached: check that port 25 is open (growth doctor), then retry the run.'
WHERE id = :id
"""
ENABLED = "UPDATE hooks SET enabled = true WHERE id = :id"
FAILING = "UPDATE hooks SET failures = 3, failing_since = now() - interval '1 hour' WHERE id = :id"
GONE = "UPDATE hooks SET disabled_reason = 'gone' WHERE id = :id"
EXPIRED = "UPDATE runs SET retracted_at = now(), expired_at = now() WHERE id = :id"
REASONS = [reason for reason in Reason if reason.advice and reason.sentence][:20]
MANY_REASONS = {each.value: {"count": 40 - 2 * number} for number, each in enumerate(REASONS)}
UPLOADS = "/api/v1/growth/uploads"
UNUSABLE = b"a1;b2;c3\n" + b"x;y;z\n" * 12


class Scene(NamedTuple):
    """An account with runs and files in all states, by the names of the pages that show them."""

    client: Client
    paths: Mapping[str, str]


@pytest.fixture(scope="module")
def scene(stack: Stack, stack_database: Database, population: Population) -> Iterator[Scene]:
    with opened_client(stack, stack_database) as client:
        runs = runs_in_all_states(client, stack_database, population)
        paths = {f"run-{name}": f"/runs/{run_id}" for name, run_id in runs.items()}
        yield Scene(client, paths | files(client, population) | PAGES)
        end_runs(stack_database, client.account.account_id)


def runs_in_all_states(client: Client, database: Database, population: Population) -> Mapping[str, str]:
    unfinished = ("waiting", "running", "failed", "cancelled")
    runs = dict(zip(unfinished, waiting_runs(client, database, len(unfinished)), strict=True))
    people = {"completed": population.hundred, "expired": population.crowd[:5], "reasons": population.crowd[:60]}
    finished = {name: client.create(those) for name, those in people.items()}
    for run_id in finished.values():
        client.finished(run_id)
    client.api.cancel_run(runs["cancelled"])
    execute(database, runs["running"], *GREYLISTED)
    execute(database, runs["failed"], FAILED)
    execute(database, finished["expired"], EXPIRED)
    with database.transaction() as session:
        session.get_one(Run, UUID(finished["reasons"])).gap_report = {
            "unresolved": 30,
            "reasons": MANY_REASONS,
            "unverified": 12,
            "unverified_reasons": MANY_REASONS,
        }
    return runs | finished


PAGES = {
    "runs": "/runs",
    "runs-filtered": "/runs?status=completed&preset=verify_existing_emails",
    "account": "/account",
    "new": "/new",
    "fault": "/runs/nothing",
}


def files(client: Client, population: Population) -> Mapping[str, str]:
    """A file that is ready, one that is refused, and one that has half arrived."""
    rows = [
        f"{each.first_name};{each.last_name};{each.domain};+1 202 555 01{number:02};met at stand {number}"
        for number, each in enumerate(population.crowd[:40])
    ]
    ready = "\n".join(
        ["First Name;Surname;Website;Phone;Notes", *rows, "Ana;;cais.example;;", "Max;Muster;gmail,com;;"]
    )
    headers = {
        "Tus-Resumable": "1.0.0",
        "Content-Type": "application/offset+octet-stream",
        "Upload-Length": str(2 * len(UNUSABLE)),
    }
    half = client.http.post(UPLOADS, params={"name": "half.csv"}, headers=headers, content=UNUSABLE).json()
    return {
        "new-file": f"/new/{upload(client, 'spring-fair-2026.csv', ready.encode())}",
        "new-refused": f"/new/{upload(client, 'unknown.csv', UNUSABLE)}",
        "new-half": f"/new/{half['upload_id']}",
    }


def upload(client: Client, name: str, data: bytes) -> str:
    return str(client.http.post(UPLOADS, params={"name": name}, content=data).json()["upload_id"])


LONG_URL = (
    f"https://hooks.a-very-long-name-of-a-department.{'sub.' * 20}acme.example/{'growth-engine-' * 40}?token={'0' * 60}"
)


def with_hooks(client: Client, database: Database) -> Mapping[str, str]:
    """Hooks in all states, and an ended run of which they were notified."""
    run_id, other = waiting_runs(client, database, 2)
    client.api.cancel_run(run_id)
    client.api.cancel_run(other)
    crm = disabled_hook(database, client, "https://crm.acme.example/growth")
    failing = disabled_hook(database, client, "https://ledger.example:8443/in", "Ledger, for invoices and their copies")
    long = disabled_hook(database, client, LONG_URL, "A description as long as it may be. " * 5)
    gone = disabled_hook(database, client, "https://gone.example/")
    disabled_hook(database, client, "https://new.example/")
    moved = TRIED | {"problem": "it answered 301: redirects are not followed, so give the final URL", "status": 301}
    deliveries(database, crm, run_id, "delivered", 12, event="contact.finished")
    deliveries(database, crm, run_id, "delivered", 1)
    deliveries(database, failing, run_id, "dead", 3, event="contact.finished", attempts=[TRIED] * 13)
    deliveries(database, failing, run_id, "pending", 1, attempts=[TRIED] * 3)
    deliveries(database, failing, other, "delivered", 30, event="run.progress")
    deliveries(database, long, run_id, "dead", 1, attempts=[moved])
    deliveries(database, long, other, "replayed", 1, attempts=[moved])
    deliveries(database, long, other, "skipped", 1, event="run.progress", attempts=[])
    deliveries(database, long, other, "pending", 1, attempts=[])
    for hook_id, statement in ((crm, ENABLED), (failing, ENABLED), (failing, FAILING), (gone, GONE)):
        execute(database, str(hook_id), statement)
    return {
        "account-hooks": "/account",
        "hook": f"/account/hooks/{failing}",
        "hook-dead": f"/account/hooks/{failing}?state=dead",
        "hook-long": f"/account/hooks/{long}",
        "hook-gone": f"/account/hooks/{gone}",
        "hook-no-match": f"/account/hooks/{crm}?state=dead&run_id={run_id}",
        "run-hooks": f"/runs/{run_id}",
        "run-hooks-active": f"/runs/{waiting_runs(client, database, 1)[0]}",
    }


@pytest.fixture(scope="module")
def hooked(stack: Stack, stack_database: Database) -> Iterator[Scene]:
    with opened_client(stack, stack_database) as client:
        yield Scene(client, with_hooks(client, stack_database))
        end_runs(stack_database, client.account.account_id)


@pytest.fixture
def open_signed_in(open_page: Open, scene: Scene) -> Callable[[str], Any]:
    def opened(path: str) -> Any:
        page = open_page("/login")
        sign_in(page, scene.client)
        page.goto(path)
        return page

    return opened


@pytest.mark.parametrize(
    "name",
    [
        "runs", "runs-filtered", "new", "new-file", "new-refused", "new-half", "account", "fault", "run-waiting",
        "run-running", "run-completed", "run-reasons", "run-cancelled", "run-failed", "run-expired",
    ],
)  # fmt: skip
def test_a_page_is_clean_and_fits(open_signed_in: Callable[[str], Any], scene: Scene, name: str) -> None:
    check(open_signed_in(scene.paths[name]), name)


def test_the_form_to_sign_in_is_clean_and_fits(open_page: Open) -> None:
    page = open_page("/login")
    check(page, "login")
    page.get_by_label("API key").fill("growth_0000000")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()

    check(page, "login-error")


def test_an_account_without_runs_is_told_how_to_begin(open_page: Open, client: Client) -> None:
    page = open_page("/login")
    sign_in(page, client)

    check(page, "runs-empty")


def test_a_key_that_is_shown_once_is_clean_and_fits(open_page: Open, client: Client) -> None:
    page = open_page("/login")
    sign_in(page, client)
    page.goto("/account")
    page.get_by_role("button", name="Make a key").click()
    page.locator("#new-key").wait_for()

    check(page, "account-new-key")


@pytest.mark.parametrize(
        "name",
    [
        "account-hooks", "hook", "hook-dead", "hook-long", "hook-gone", "hook-no-match", "run-hooks",
        "run-hooks-active",
    ],
)  # fmt: skip
def test_hooks_in_each_state_are_clean_and_fit(open_page: Open, hooked: Scene, name: str) -> None:
    page = open_page("/login")
    sign_in(page, hooked.client)
    page.goto(hooked.paths[name])
    for summary in page.locator(".hooks summary").all():
        summary.click()

    check(page, name)


def test_the_form_of_a_hook_its_secret_and_its_questions_are_clean_and_fit(open_page: Open, client: Client) -> None:
    page = open_page("/login")
    sign_in(page, client)
    page.goto("/account")
    page.get_by_text("Add a hook").click()
    page.get_by_label("Address", exact=True).fill("http://user@crm.acme.example/")
    page.get_by_role("button", name="Add hook").click()
    page.get_by_role("alert").wait_for()
    check(page, "account-hook-refused")
    page.get_by_label("Address", exact=True).fill("https://crm.acme.example/")
    page.get_by_role("button", name="Add hook").click()
    page.locator("#hook-secret").wait_for()
    check(page, "account-hook-secret")
    page.get_by_role("button", name="New secret for crm.acme.example").click()
    page.get_by_role("dialog").wait_for()
    check(page, "account-hook-question")
    page.get_by_role("button", name="Make a new secret").click()
    page.get_by_role("heading", name="New secret").wait_for()
    check(page, "hook-secret")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete the hook").click()
    page.get_by_text("There is none yet.").wait_for()


def test_the_question_before_an_action_is_clean_and_fits(open_signed_in: Callable[[str], Any], scene: Scene) -> None:
    page = open_signed_in(scene.paths["run-waiting"])
    page.get_by_role("button", name="Cancel run").click()
    page.get_by_role("dialog").wait_for()

    check(page, "run-question")


def test_a_file_on_its_way_and_being_read_is_clean_and_fits(open_signed_in: Callable[[str], Any]) -> None:
    page = open_signed_in("/new")
    page.route("**/uploads/*", lambda route: None if route.request.method == "PATCH" else route.continue_())
    page.get_by_label("Choose a file").set_input_files({"name": "late.csv", "mimeType": "text/csv", "buffer": UNUSABLE})
    page.get_by_text("0 B of").wait_for()
    check(page, "new-sending")

    page.get_by_role("button", name="Stop").click()
    page.unroute_all()
    page.route("**/read", lambda _: None)
    page.get_by_label("Choose a file").set_input_files({"name": "late.csv", "mimeType": "text/csv", "buffer": UNUSABLE})
    page.get_by_text("Reading late.csv").wait_for()
    check(page, "new-reading")
    page.unroute_all()


def test_the_operator_s_page_is_clean_and_fits(
    open_signed_in: Callable[[str], Any], scene: Scene, stack_database: Database
) -> None:
    with stack_database.transaction() as session:
        set_operator(session, str(scene.client.account.account_id), is_operator=True)
    page = open_signed_in("/operator")
    page.get_by_role("heading", name="Operator").wait_for()

    check(page, "operator")


def test_a_lost_connection_is_told_cleanly(open_signed_in: Callable[[str], Any], scene: Scene) -> None:
    page = open_signed_in("/runs")
    page.add_init_script("window.opened = new Promise(open => document.addEventListener('htmx:sseOpen', open));")
    page.goto(scene.paths["run-running"])
    # Awaited by the browser's debugger: the page's policy lets nobody evaluate texts, which `wait_for_function` does.
    page.evaluate("window.opened.then(() => true)")
    page.evaluate("document.dispatchEvent(new CustomEvent('htmx:sseError'))")
    page.get_by_text("Connection lost.").wait_for()

    check(page, "run-lost")
