"""The operator's page: all accounts' work for those with the role, and nothing at all for others."""

import re
import time
from collections.abc import Callable

import pytest
from sqlalchemy import text

from cli.accounts import set_operator
from models.database import Database
from pipeline.runs.overview import refusing_hosts
from tests.integration.conftest import Client, Population
from tests.integration.web.browser import GREYLISTED, execute
from tests.integration.web.conftest import Visitor

Visit = Callable[[], Visitor]


@pytest.fixture
def operator(visit: Visit, stranger: Client, stack_database: Database) -> Visitor:
    """A browser of an account with the role, which has no runs."""
    with stack_database.transaction() as session:
        set_operator(session, str(stranger.account.account_id), is_operator=True)
    browser = visit()
    browser.sign_in(stranger.account.api_key)
    return browser


def test_without_the_role_the_page_is_not_there(visitor: Visitor) -> None:
    page, stream = visitor.get("/operator"), visitor.get("/operator/live")

    assert (page.status_code, stream.status_code) == (404, 404)
    assert page.text.replace("/operator", "/nowhere") == visitor.get("/nowhere").text
    assert 'href="/operator"' not in visitor.get("/runs").text


def test_runs_of_all_accounts_are_shown_and_not_their_contacts(
    operator: Visitor, client: Client, waiting_run: str, stack_database: Database
) -> None:
    execute(stack_database, waiting_run, *GREYLISTED)

    rows = (event.data for event in operator.live("/operator/live") if event.kind == "runs")
    row = next(filter(None, (re.search(rf'id="at-work-{waiting_run}".*?</tr>', each, re.DOTALL) for each in rows)))
    page = operator.get("/operator").text

    assert "Example Account" in row[0]
    assert 'data-label="To go">5</td>' in row[0]
    assert 'data-label="Waiting">2</td>' in row[0]
    assert "at the earliest" in page
    assert "<small>look-ups and verifications</small>" in page
    assert operator.get(f"/runs/{waiting_run}").status_code == 404


def test_the_page_is_live_and_ends_with_the_role(operator: Visitor, stranger: Client, stack_database: Database) -> None:
    events = operator.live("/operator/live")
    first = {next(events).kind for _ in range(4)}

    with stack_database.transaction() as session:
        set_operator(session, str(stranger.account.account_id), is_operator=False)
    began = time.monotonic()

    assert first == {"load", "runs", "workers", "hosts"}
    assert [event.kind for event in events][-2:] == ["refused", "close"]
    assert time.monotonic() - began < 10


def test_a_host_that_refuses_us_is_named_with_its_code_and_without_its_text(
    operator: Visitor, client: Client, population: Population, stack_database: Database
) -> None:
    run_id = client.create(population.crowd[:3])
    client.finished(run_id)
    with stack_database.transaction() as session:
        session.execute(
            text(
                "UPDATE outcomes SET reason = 'blocked', evidence = jsonb_build_object('mail_host', 'mx.refusing.test',"
                " 'reply_code', 554, 'enhanced_code', '5.7.1', 'reply_text', 'no ada@refusing.test')"
                " WHERE run_id = :id AND stage = 'email_lookup'"
            ),
            {"id": run_id},
        )
    hosts = stack_hosts(stack_database)

    assert ("mx.refusing.test", "blocked", 3, "554 5.7.1") in hosts
    assert "ada@" not in operator.get("/operator").text


def stack_hosts(database: Database) -> list[tuple[str, str, int, str]]:
    """What the page asks for once a minute."""
    with database.transaction() as session:
        return [(each.host, str(each.reason), each.contacts, each.code) for each in refusing_hosts(session)]
