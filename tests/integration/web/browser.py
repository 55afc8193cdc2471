"""A real browser: Debian's chromium, driven by Playwright.

With `SCREENSHOTS=folder` in the environment, what `check` sees is also drawn: wide and narrow, light and dark.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from models.database import Database
from tests.integration.conftest import Client

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = (Path(__file__).parent / "vendor" / "axe-core-4.14.1.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

WIDTHS = (1280, 390)
SCREENSHOTS = os.environ.get("SCREENSHOTS", "")

GREYLISTED = (
    "UPDATE runs SET status = 'running', started_at = now(), version = version + 1,"
    " parked_until = now() + interval '20 minutes' WHERE id = :id",
    "UPDATE run_stages SET status = 'running', started_at = now(), done = 1, waiting = 2"
    " WHERE run_id = :id AND ordinal = 0",
    "INSERT INTO run_chunks (run_id, stage, number, first_position, last_position, not_before, waiting)"
    " VALUES (:id, 'email_lookup', 0, 0, 2, now() + interval '20 minutes', 2)",
)
"""Makes a waiting run one with a greylisting server, as its rows are then."""

Open = Callable[..., Any]

needs_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: `apt-get install chromium` has one")


@contextmanager
def running_browser() -> Iterator[Any]:
    """A browser that is closed when the block ends."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def violations(page: Any) -> Sequence[str]:
    """What axe finds wrong with a page, as sentences. It runs outside of the page's policy, as a debugger does."""
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": AXE})
    run = f"axe.run(document, {{runOnly: {RULES}}}).then(r => r.violations)"
    answer = session.send("Runtime.evaluate", {"expression": run, "awaitPromise": True, "returnByValue": True})
    found = answer["result"]["value"]
    return [f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}" for each in found]


def sign_in(page: Any, client: Client) -> None:
    """Sign in on the page that has the form."""
    page.get_by_label("API key").fill(client.account.api_key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Runs", exact=True).wait_for()


def draw(page: Any, name: str, scheme: str) -> None:
    """Keep a picture of the page, if that is wanted."""
    if SCREENSHOTS:
        folder = Path(SCREENSHOTS)
        folder.mkdir(parents=True, exist_ok=True)
        width = page.viewport_size["width"]
        page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)


def check(page: Any, name: str) -> None:
    """Both widths, light and dark: nothing is wider than the window, and axe finds nothing."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            draw(page, name, scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width}"
            found = violations(page)
            assert not found, f"{name}, {scheme}, {width}: {found}"


def execute(database: Database, run_id: str, *statements: str) -> None:
    """Change the rows of a run."""
    with database.transaction() as session:
        for statement in statements:
            session.execute(text(statement), {"id": run_id})
