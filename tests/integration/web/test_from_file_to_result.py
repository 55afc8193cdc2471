"""The whole way in a real browser: a file is dropped, mapped, priced, run and downloaded."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.local.processes import running_engine
from cli.local.stack import Stack
from tests.integration.another_api import AnotherApi
from tests.integration.conftest import Client, Population
from tests.integration.web.browser import Open, needs_a_browser, sign_in

pytestmark = [needs_a_browser, pytest.mark.proof]

AS_DROPPED = """
([name, text]) => {
  const dropped = new DataTransfer();
  dropped.items.add(new File([text], name));
  return dropped;
}
"""


@pytest.fixture
def another_api(stack: Stack, tmp_path: Path) -> Iterator[AnotherApi]:
    with running_engine(stack.engine.environment, tmp_path) as engine:
        yield AnotherApi(engine)


def table_of(population: Population, count: int, heading: str = "First Name;Surname;Website") -> str:
    rows = [f"{each.first_name};{each.last_name};{each.domain}" for each in population.hundred[:count]]
    return "\n".join([heading, *rows])


def drop(page: Any, name: str, text: str) -> None:
    dropped = page.evaluate_handle(AS_DROPPED, [name, text])
    page.dispatch_event("[data-drop]", "drop", {"dataTransfer": dropped})


def choose(page: Any, column: str, field: str) -> None:
    """Say what a column becomes, and wait until the file was read like that."""
    choice = page.get_by_role("combobox", name=f"{column} Becomes")
    with page.expect_response("**/new/*"):
        choice.select_option(field)
    page.locator("#recognised:not(.htmx-request)").wait_for()


@pytest.mark.timeout(240)
def test_a_file_becomes_a_result_while_the_api_restarts(
    open_page: Open, client: Client, population: Population, another_api: AnotherApi
) -> None:
    page = open_page(f"{another_api.url}/login", loses_connections=True)
    sign_in(page, client)
    page.get_by_role("link", name="New run").first.click()
    drop(page, "fair.csv", table_of(population, 100, "xx;yy;Website"))
    page.get_by_text("No run can be started from this file as it is.").wait_for()

    choose(page, "xx", "First name")
    choose(page, "yy", "Last name")
    page.get_by_role("button", name="Start run for 400 credits").click()
    page.get_by_role("button", name="Cancel run").wait_for()
    page.evaluate("window.isTheSame = true")
    another_api.kill()
    another_api.start()
    page.get_by_text("In, found, verified").wait_for(timeout=60_000)

    assert page.evaluate("window.isTheSame") is True
    run_id = page.url.rpartition("/")[2]
    counts = client.api.read_run(run_id)["preview"]["delivered_counts"]
    assert counts == {"delivered_contacts": 95, "verified_emails": 78}
    assert "95 Address found" in shown(page, "#funnel")
    assert "78 Verified" in shown(page, "#funnel")
    assert page.locator("#gaps tbody tr").count() >= 1
    with page.expect_download() as download:
        page.get_by_role("link", name="Download Contacts (CSV)").click()
    [handle] = [each for each in client.api.read_run(run_id)["export_handles"] if each["format"] == "csv"]
    assert hashlib.sha256(Path(download.value.path()).read_bytes()).hexdigest() == handle["sha256"]


def shown(page: Any, selector: str) -> str:
    """The text of a part, in one line."""
    return " ".join(page.locator(selector).inner_text().split())


def test_a_file_goes_on_after_its_connection_was_cut(open_page: Open, client: Client, population: Population) -> None:
    page = open_page("/login", loses_connections=True)
    sign_in(page, client)
    page.goto("/new")
    cut: list[str] = []

    def cut_once(route: Any) -> None:
        if route.request.method == "PATCH" and not cut:
            cut.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/uploads/*", cut_once)
    page.get_by_label("Choose a file").set_input_files(
        {"name": "fair.csv", "mimeType": "text/csv", "buffer": table_of(population, 20).encode()}
    )

    page.get_by_role("heading", name="Columns").wait_for()
    assert len(cut) == 1
    assert page.get_by_text("20 rows").count() == 1


def test_a_file_can_be_chosen_again_and_another_one_stopped(
    open_page: Open, client: Client, population: Population
) -> None:
    page = open_page("/login")
    sign_in(page, client)
    page.goto("/new")
    page.route("**/uploads/*", lambda route: None if route.request.method == "PATCH" else route.continue_())
    page.get_by_label("Choose a file").set_input_files(
        {"name": "fair.csv", "mimeType": "text/csv", "buffer": table_of(population, 20).encode()}
    )

    page.get_by_role("button", name="Stop").click()

    page.get_by_role("heading", name="Drop a list of contacts here").wait_for()
    assert page.get_by_role("alert").count() == 0
    page.unroute_all()


def test_an_empty_file_is_refused_before_it_is_sent(open_page: Open, client: Client) -> None:
    page = open_page("/login")
    sign_in(page, client)
    page.goto("/new")

    page.get_by_label("Choose a file").set_input_files({"name": "no.csv", "mimeType": "text/csv", "buffer": b""})

    page.get_by_text("This file is empty").wait_for()
    assert client.http.get("/api/v1/growth/uploads").json()["uploads"] == []


def test_a_change_of_columns_keeps_the_keyboard_where_it_is(
    open_page: Open, client: Client, population: Population
) -> None:
    page = open_page("/login")
    sign_in(page, client)
    page.goto("/new")
    drop(page, "fair.csv", table_of(population, 5))
    page.get_by_role("combobox", name="Surname Becomes").focus()
    page.evaluate("window.isTheSame = true")

    choose(page, "Surname", "Company")
    page.get_by_text("No run can be started from this file as it is.").wait_for()

    assert page.evaluate("document.activeElement.id") == "map-1"
    assert page.evaluate("window.isTheSame") is True


def test_a_further_format_is_made_while_one_watches(
    open_page: Open, client: Client, finished_run: str, stack: Stack
) -> None:
    page = open_page("/login")
    sign_in(page, client)
    page.goto(f"/runs/{finished_run}")

    page.get_by_label("Another format").select_option("Excel workbook")
    page.get_by_role("button", name="Make this file").click()
    link = page.get_by_role("link", name="Download Contacts (Excel workbook)")
    link.wait_for(timeout=30_000)

    got = httpx.get(f"{stack.credentials.api_url}{link.get_attribute('href')}", trust_env=False)
    assert got.content[:2] == b"PK"
