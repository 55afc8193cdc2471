"""The verifying stage against Postfix and Postgrey, as Debian ships them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from tests.mail_servers import verifying
from tests.mail_servers.postfix import CAN_NOT_RUN, CAN_RUN, Host, running_postfix, running_postgrey
from tests.mail_servers.verifying import Servers, place_for_servers, verdict

pytestmark = pytest.mark.skipif(not CAN_RUN, reason=CAN_NOT_RUN)

POSTGREY = ("127.61.0.9", 10023)
POLICY_SERVICE = "inet:127.61.0.9:10023"
GREYLISTED_SECONDS = 1
NEIGHBOURS = [f"neighbour{number}.test" for number in range(12)]
CONNECTIONS, RECIPIENTS = 4, 5
EMPLOYEES = [f"employee{number}@limits.test" for number in range(3 * RECIPIENTS)]

HOSTS = {
    "alpha": Host(
        "127.61.0.1",
        ["alpha.test"],
        ["grace@alpha.test", "ada@alpha.test", "info@alpha.test"],
        access={
            "full@alpha.test": "452 4.2.2 The mailbox is over its quota",
            "left@alpha.test": "550 5.2.1 This account has been disabled",
            "members@alpha.test": "550 5.7.1 Only members may post to this list",
        },
    ),
    "catchall": Host("127.61.0.2", ["catchall.test"], ["@catchall.test"]),
    "grey": Host(
        "127.61.0.3",
        ["grey.test"],
        ["grace@grey.test"],
        settings={
            "smtpd_relay_restrictions": f"reject_unauth_destination, check_policy_service {POLICY_SERVICE}",
        },
    ),
    "limits": Host(
        "127.61.0.4",
        ["limits.test", *NEIGHBOURS],
        [*EMPLOYEES, *(f"grace@{domain}" for domain in NEIGHBOURS)],
        settings={
            "smtpd_client_connection_count_limit": str(CONNECTIONS),
            "smtpd_recipient_limit": str(RECIPIENTS),
            "smtpd_recipient_overshoot_limit": "1000",
        },
    ),
    "strict": Host(
        "127.61.0.5",
        ["strict.test"],
        ["grace@strict.test"],
        settings={"smtpd_soft_error_limit": "4", "smtpd_hard_error_limit": "5", "smtpd_error_sleep_time": "0"},
    ),
}


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    zone = {(domain, "MX"): [f"10 mx.{host.domains[0]}."] for host in HOSTS.values() for domain in host.domains}
    zone |= {(f"mx.{host.domains[0]}", "A"): [host.ip] for host in HOSTS.values()}
    with place_for_servers(zone, "log") as place, ExitStack() as stack:
        stack.enter_context(running_postgrey(place.home / "postgrey", *POSTGREY, GREYLISTED_SECONDS))
        for name, host in HOSTS.items():
            stack.enter_context(running_postfix(place.home / name, host, place.port))
        yield place


def verify(servers: Servers, emails: Sequence[str], *, retries: int = 0) -> dict[str, Outcome]:
    """Verify addresses. A greylisted one is probed again when the delay has passed, at most `retries` times."""
    waits = (GREYLISTED_SECONDS + 0.5,) * retries
    return verifying.verify(servers, emails, connections_per_host=CONNECTIONS, defer_seconds=waits)


def test_each_kind_of_mailbox_gets_the_verdict_of_its_reply(servers: Servers) -> None:
    expected = {
        "grace@alpha.test": (OutcomeStatus.VALID, Reason.MAILBOX_EXISTS),
        "ada@alpha.test": (OutcomeStatus.VALID, Reason.MAILBOX_EXISTS),
        "info@alpha.test": (OutcomeStatus.RISKY, Reason.ROLE_ACCOUNT),
        "unknown@alpha.test": (OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX),
        "full@alpha.test": (OutcomeStatus.RISKY, Reason.MAILBOX_FULL),
        "left@alpha.test": (OutcomeStatus.INVALID, Reason.MAILBOX_DISABLED),
        "members@alpha.test": (OutcomeStatus.UNKNOWN, Reason.POLICY),
    }

    outcomes = verify(servers, list(expected))

    assert {email: verdict(outcome) for email, outcome in outcomes.items()} == expected


def test_acceptance_by_a_catch_all_proves_no_mailbox(servers: Servers) -> None:
    outcomes = verify(servers, ["grace@catchall.test"])

    assert verdict(outcomes["grace@catchall.test"]) == (OutcomeStatus.RISKY, Reason.CATCH_ALL)


def test_greylisted_addresses_get_their_verdict_on_a_later_visit(servers: Servers) -> None:
    outcomes = verify(servers, ["grace@grey.test", "unknown@grey.test"], retries=2)

    assert verdict(outcomes["grace@grey.test"]) == (OutcomeStatus.VALID, Reason.MAILBOX_EXISTS)
    assert verdict(outcomes["unknown@grey.test"]) == (OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX)


def test_many_domains_on_one_host_stay_within_its_limit_on_connections(servers: Servers) -> None:
    outcomes = verify(servers, [f"{local}@{domain}" for domain in NEIGHBOURS for local in ("grace", "unknown")])

    assert {str(verdict(outcomes[f"grace@{domain}"])[0]) for domain in NEIGHBOURS} == {"valid"}
    assert {str(verdict(outcomes[f"unknown@{domain}"])[0]) for domain in NEIGHBOURS} == {"invalid"}
    assert "limit exceeded" not in servers.log("limits")


def test_more_addresses_than_a_transaction_may_have_all_get_their_verdict(servers: Servers) -> None:
    outcomes = verify(servers, EMPLOYEES)

    assert {verdict(outcome) for outcome in outcomes.values()} == {(OutcomeStatus.VALID, Reason.MAILBOX_EXISTS)}


def test_all_addresses_get_their_verdict_from_a_server_that_hangs_up_after_some_unknown_users(servers: Servers) -> None:
    unknown_users = [f"unknown{number}@strict.test" for number in range(20)]

    outcomes = verify(servers, [*unknown_users, "grace@strict.test"])

    assert verdict(outcomes["grace@strict.test"])[0] is OutcomeStatus.VALID
    assert {verdict(outcomes[email]) for email in unknown_users} == {(OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX)}


def test_many_unknown_users_do_not_make_a_server_slow_down(servers: Servers) -> None:
    unknown_users = [f"unknown{number}@alpha.test" for number in range(25)]
    started = time.monotonic()

    outcomes = verify(servers, unknown_users)

    assert {verdict(outcome) for outcome in outcomes.values()} == {(OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX)}
    assert time.monotonic() - started < 5, "at the tenth error of a session Postfix waits a second before each reply"
