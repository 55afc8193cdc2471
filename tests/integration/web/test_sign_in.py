"""A browser signs in with an API key, and no longer than the key is valid."""

import time
import uuid
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
import redis
from sqlalchemy import text

from cli.accounts import change_status
from models.database import Database
from models.status import SubscriptionStatus
from tests.integration.conftest import Client
from tests.integration.web.conftest import Visitor
from web.pages.sign_in import OF_SIGN_INS, SIGN_INS_A_MINUTE

Visit = Callable[[], Visitor]


def is_signed_in(visitor: Visitor) -> bool:
    return visitor.get("/runs").status_code == 200


def wait_until_signed_out(visitor: Visitor) -> float:
    began = time.monotonic()
    while is_signed_in(visitor):
        assert time.monotonic() - began < 10
        time.sleep(0.1)
    return time.monotonic() - began


def revoke(database: Database, key: str) -> None:
    with database.transaction() as session:
        session.execute(
            text("UPDATE api_keys SET revoked_at = now() WHERE key_hash = sha256(CAST(:key AS bytea))"),
            {"key": key.encode()},
        )


def test_a_browser_without_a_sign_in_is_led_to_the_form_and_back(visit: Visit, client: Client) -> None:
    browser = visit()

    answer = browser.get("/account")
    form = browser.get(answer.headers["location"])
    entered = browser.sign_in(client.account.api_key, "/account")

    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Faccount")
    assert 'name="next" value="/account"' in form.text
    assert (entered.status_code, entered.headers["location"]) == (303, "/account")
    assert is_signed_in(browser)


def test_the_cookie_is_for_this_site_only_and_out_of_reach_of_scripts(visit: Visit, client: Client) -> None:
    cookie = visit().sign_in(client.account.api_key).headers["set-cookie"]

    assert cookie.startswith("growth_session=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert client.account.api_key not in cookie


def test_over_https_the_cookie_is_sent_encrypted_only_and_by_this_host_only(visit: Visit, client: Client) -> None:
    browser = visit()
    browser.http.headers["X-Forwarded-Proto"] = "https"  # as a proxy on this machine says it

    cookie = browser.sign_in(client.account.api_key).headers["set-cookie"]

    assert cookie.startswith("__Host-growth_session=")
    assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_a_key_that_is_not_known_opens_nothing(visit: Visit) -> None:
    browser = visit()

    answer = browser.sign_in("growth_no_such_key")

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "not known, or it was revoked" in answer.text
    assert "growth_no_such_key" not in answer.text


def test_a_cookie_from_before_the_sign_in_is_worth_nothing_afterwards(visit: Visit, client: Client) -> None:
    """Session fixation: whoever planted the cookie does not get in with it."""
    victim, attacker = visit(), visit()
    victim.http.cookies.set("growth_session", "planted")
    attacker.http.cookies.set("growth_session", "planted")

    victim.sign_in(client.account.api_key)

    assert not is_signed_in(attacker)


def test_signing_in_again_ends_the_earlier_sign_in_of_this_browser(visit: Visit, client: Client) -> None:
    browser, copy = visit(), visit()
    browser.sign_in(client.account.api_key)
    copy.http.cookies.set("growth_session", browser.token)

    browser.sign_in(client.account.api_key)

    assert copy.token != browser.token
    wait_until_signed_out(copy)
    assert is_signed_in(browser)


def test_signing_out_ends_the_sign_in_itself_not_only_the_cookie(visit: Visit, client: Client) -> None:
    browser, copy = visit(), visit()
    browser.sign_in(client.account.api_key)
    copy.http.cookies.set("growth_session", browser.token)

    answer = browser.post("/logout")

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert browser.token == ""
    wait_until_signed_out(copy)


def test_a_revoked_key_signs_its_browsers_out_within_seconds(
    visitor: Visitor, client: Client, stack_database: Database
) -> None:
    assert is_signed_in(visitor)

    revoke(stack_database, client.account.api_key)

    assert wait_until_signed_out(visitor) < 5


def test_a_sign_in_ends_by_itself(visitor: Visitor, client: Client, stack_database: Database) -> None:
    with stack_database.transaction() as session:
        session.execute(
            text(
                "UPDATE sign_ins s SET expires_at = now() FROM api_keys k"
                " WHERE k.id = s.key_id AND k.account_id = :account_id"
            ),
            {"account_id": client.account.account_id},
        )

    wait_until_signed_out(visitor)


def test_a_sign_in_whose_time_is_over_is_deleted_by_the_next_one(
    visit: Visit, client: Client, stack_database: Database
) -> None:
    browser = visit()
    browser.sign_in(client.account.api_key)
    with stack_database.transaction() as session:
        session.execute(text("UPDATE sign_ins SET expires_at = now() - interval '1 minute'"))

    browser.sign_in(client.account.api_key)

    with stack_database.transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM sign_ins WHERE expires_at < now()")) == 0


def test_an_account_that_may_not_be_served_is_told_why(
    visitor: Visitor, client: Client, stack_database: Database
) -> None:
    with stack_database.transaction() as session:
        change_status(session, str(client.account.account_id), SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE)

    answer = visitor.get("/runs")
    while answer.status_code == 200:
        answer = visitor.get("/runs")

    assert answer.status_code == 403
    assert "no active paid subscription" in answer.text
    assert "Sign in with another key" in answer.text


@pytest.mark.parametrize(
    "target",
    [
        "https://elsewhere.example/",
        "//elsewhere.example/",
        "/\\elsewhere.example",
        "/runs//elsewhere.example",
        "javascript:alert(1)",
        "/logout",
        "/api/v1/growth/runs",
        "/runs\r\nSet-Cookie: a=b",
        "\t//elsewhere.example",
    ],
)
def test_a_sign_in_leads_to_our_own_pages_only(visit: Visit, client: Client, target: str) -> None:
    browser = visit()

    entered = browser.sign_in(client.account.api_key, target)
    shown_again = browser.get("/login", params={"next": target})

    assert [answer.headers["location"] for answer in (entered, shown_again)] == ["/runs", "/runs"]


def test_a_sign_in_leads_to_the_run_that_was_asked_for(visit: Visit, client: Client) -> None:
    target = f"/runs/{uuid.uuid4()}?verdict=valid&after=25"

    assert visit().sign_in(client.account.api_key, target).headers["location"] == target


@pytest.fixture
def one_address(stack_redis: redis.Redis) -> Iterator[str]:
    address = "198.51.100.77"
    yield address
    stack_redis.delete(f"growth:requests:{uuid.uuid5(OF_SIGN_INS, address)}")


def test_keys_can_t_be_tried_without_limit(visit: Visit, one_address: str) -> None:
    browser = visit()
    browser.http.headers["X-Forwarded-For"] = one_address

    answers = [browser.sign_in(f"growth_{number}") for number in range(SIGN_INS_A_MINUTE + 1)]

    assert {answer.status_code for answer in answers[:-1]} == {401}
    assert answers[-1].status_code == 429
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60


def test_tries_are_counted_before_anything_of_the_form_is_read(visit: Visit, one_address: str) -> None:
    browser = visit()
    browser.http.headers["X-Forwarded-For"] = one_address
    unreadable = {"Origin": str(browser.http.base_url).rstrip("/"), "Content-Type": "text/plain"}

    answers = [browser.http.post("/login", content=b"", headers=unreadable) for _ in range(SIGN_INS_A_MINUTE + 1)]

    assert {answer.status_code for answer in answers[:-1]} == {400}
    assert answers[-1].status_code == 429


def test_a_sign_in_that_is_longer_than_any_key_is_not_read_to_its_end(visit: Visit) -> None:
    answers = [visit().sign_in("x" * length) for length in (3_000, 5_000)]

    assert [answer.status_code for answer in answers] == [401, 400]


def test_a_link_on_another_site_leads_in_by_a_page_of_ours(visit: Visit) -> None:
    """A browser holds the cookie back when another site leads here. What our own page leads to gets it."""
    target = f"/runs/{UUID(int=1)}"

    answer = visit().get(target, headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 200
    assert f'http-equiv="refresh" content="0; url=/login?next={target}"' in answer.text
