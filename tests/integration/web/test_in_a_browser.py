"""The page in a real browser: watched without a reload, and worked by keyboard."""

import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from cli.local.stack import Stack
from models.database import Database
from tests.faults.machine.relay import running_relays, to_port
from tests.integration.conftest import Client, Population
from tests.integration.web.browser import GREYLISTED, Open, execute, needs_a_browser, sign_in

pytestmark = [needs_a_browser, pytest.mark.proof]

WORKED = """
INSERT INTO outcomes (run_id, stage, position, status, reason, score, evidence)
VALUES (:id, 'email_lookup', 0, 'not_found', 'no_mail_server', 0, '{}')
"""


def test_a_run_is_watched_to_its_end_without_a_reload(open_page: Open, client: Client, population: Population) -> None:
    page = open_page("/login")
    sign_in(page, client)
    run_id = client.create(population.crowd[:400])
    page.goto(f"/runs/{run_id}")
    page.evaluate("window.isTheSame = true")
    seen: list[int] = []
    page.expose_function("saw", lambda percent: seen.append(int(percent)))
    page.evaluate("""
        new MutationObserver(() => {
            const big = document.querySelector('.big');
            if (big) window.saw(parseInt(big.textContent));
        }).observe(document.body, {childList: true, subtree: true, characterData: true});
    """)

    page.get_by_text("In, found, verified").wait_for(timeout=90_000)

    assert page.evaluate("window.isTheSame") is True
    assert page.locator("#live-state").inner_text() == "Completed"
    assert page.evaluate("document.activeElement.id") == "main"
    assert seen == sorted(seen)


def test_a_run_that_begins_is_running_in_the_head_of_its_page_and_in_its_title(
    open_page: Open, client: Client, stack_database: Database, waiting_run: str
) -> None:
    page = open_page("/login")
    sign_in(page, client)
    page.goto(f"/runs/{waiting_run}")
    assert page.locator("#live-state").inner_text() == "Pending"

    execute(stack_database, waiting_run, *GREYLISTED)

    page.locator("#live-state[data-state=running]").wait_for()
    assert page.locator("#live-state").inner_text() == "Running"
    assert page.locator("#live-state").count() == 1
    page.wait_for_function("document.title.includes(', running')")


def test_the_first_contacts_come_by_themselves(
    open_page: Open, client: Client, stack_database: Database, waiting_run: str
) -> None:
    page = open_page("/login")
    sign_in(page, client)
    page.goto(f"/runs/{waiting_run}")
    assert "No contact has been worked yet." in page.locator("#rows").inner_text()

    execute(stack_database, waiting_run, WORKED)

    # How many are worked is counted at most twice a second: a later state brings it.
    while not page.locator("#rows tbody tr").count():
        execute(stack_database, waiting_run, "UPDATE runs SET version = version + 1 WHERE id = :id")
        page.wait_for_timeout(300)
    assert "no_mail_server" in page.locator("#rows tbody tr").inner_text()
    assert page.locator("#rows").count() == 1


def test_a_bar_moves_and_is_not_made_anew(
    open_page: Open, client: Client, stack_database: Database, waiting_run: str
) -> None:
    execute(stack_database, waiting_run, *GREYLISTED)
    page = open_page("/login")
    sign_in(page, client)
    page.goto(f"/runs/{waiting_run}")
    page.evaluate("window.bar = document.querySelector('#live-progress progress')")
    assert page.evaluate("window.bar.value") == 20
    assert page.locator("#live-state").inner_text() == "Running"

    execute(
        stack_database,
        waiting_run,
        "UPDATE run_stages SET done = 2, waiting = 1 WHERE run_id = :id AND ordinal = 0",
        "UPDATE runs SET version = version + 1, updated_at = now() WHERE id = :id",
    )

    page.locator("#live-progress progress[value='40']").wait_for()
    assert page.evaluate("window.bar.isConnected && window.bar.value") == 40


def test_rows_of_the_list_change_by_themselves(open_page: Open, client: Client, population: Population) -> None:
    page = open_page("/login")
    run_id = client.create(population.crowd[:100])
    sign_in(page, client)
    page.evaluate("window.isTheSame = true")

    page.locator(f"#run-{run_id} [data-state=completed]").wait_for(timeout=60_000)

    assert page.evaluate("window.isTheSame") is True


def test_a_run_is_cancelled_and_retried_with_questions_that_name_the_price(
    open_page: Open, client: Client, waiting_run: str
) -> None:
    page = open_page("/login")
    sign_in(page, client)
    page.goto(f"/runs/{waiting_run}")

    page.get_by_role("button", name="Cancel run").click()
    question = page.get_by_role("dialog")
    assert "0 credits" in question.inner_text()
    question.get_by_role("button", name="Cancel the run").click()
    page.get_by_text("The run was cancelled.").wait_for()
    page.get_by_role("button", name="Retry 3 contacts").click()
    assert "12 credits are charged" in page.get_by_role("dialog").inner_text()
    page.get_by_role("button", name="Start the retry").click()

    page.wait_for_url(re.compile(rf"/runs/(?!{waiting_run})[0-9a-f-]+$"))
    assert "retry of" in page.locator("main").inner_text()


def test_a_question_is_answered_with_the_keyboard(open_page: Open, client: Client, waiting_run: str) -> None:
    page = open_page("/login")
    sign_in(page, client)
    page.goto(f"/runs/{waiting_run}")

    page.get_by_role("button", name="Cancel run").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")

    assert page.get_by_role("dialog").count() == 0
    assert page.evaluate("document.activeElement.textContent") == "Cancel run"
    assert client.api.read_run(waiting_run)["status"] == "pending"


def test_a_file_is_downloaded(open_page: Open, client: Client, finished_run: str) -> None:
    page = open_page("/login")
    sign_in(page, client)
    page.goto(f"/runs/{finished_run}")

    with page.expect_download() as download:
        page.get_by_role("link", name="Download Contacts (CSV)").click()

    [handle] = [each for each in client.api.read_run(finished_run)["export_handles"] if each["format"] == "csv"]
    assert hashlib.sha256(Path(download.value.path()).read_bytes()).hexdigest() == handle["sha256"]


def test_contacts_are_filtered_in_place_and_the_way_back_leads_back(
    open_page: Open, client: Client, finished_run: str
) -> None:
    page = open_page("/login")
    sign_in(page, client)
    page.goto(f"/runs/{finished_run}")
    page.evaluate("window.isTheSame = true")

    page.get_by_role("navigation", name="Filter by verdict").get_by_role("link", name="No address").click()
    page.wait_for_url("**verdict=not_found**")
    page.locator("#rows [aria-current=true]", has_text="No address").wait_for()

    assert page.evaluate("window.isTheSame") is True
    page.go_back()
    page.locator("#rows [aria-current=true]", has_text="All").wait_for()


def test_a_lost_connection_is_shown_and_the_page_goes_on_when_it_is_back(
    open_page: Open, client: Client, stack: Stack, waiting_run: str
) -> None:
    port = urlsplit(stack.credentials.api_url).port
    assert port
    with running_relays(to_port(port)) as [relay]:
        page = open_page(f"http://127.0.0.1:{relay.port}/login", loses_connections=True)
        sign_in(page, client)
        page.goto(f"http://127.0.0.1:{relay.port}/runs/{waiting_run}")
        page.evaluate("window.isTheSame = true")
        note = page.get_by_text("Connection lost.")
        assert not note.is_visible()

        relay.hold()
        relay.reset()
        note.wait_for()
        relay.release()
        note.wait_for(state="hidden")
        client.api.cancel_run(waiting_run)

        page.get_by_text("The run was cancelled.").wait_for()
        assert page.evaluate("window.isTheSame") is True


def test_who_is_signed_out_elsewhere_is_led_to_the_form(
    open_page: Open, client: Client, waiting_run: str, stack_database: Database
) -> None:
    page = open_page("/login")
    sign_in(page, client)
    page.goto(f"/runs/{waiting_run}")

    with stack_database.transaction() as session:
        session.execute(
            text("UPDATE api_keys SET revoked_at = now() WHERE account_id = :id"), {"id": client.account.account_id}
        )

    page.get_by_label("API key").wait_for(timeout=10_000)


def test_the_chosen_theme_stays(open_page: Open, client: Client) -> None:
    page = open_page("/login")
    sign_in(page, client)
    theme = page.get_by_role("button", name="Theme")

    theme.click()
    theme.click()
    page.reload()

    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
