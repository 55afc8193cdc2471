"""The verifying stage against Exim, as Debian ships it: delays, denials, deferrals, limits and synchronisation."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from tests.mail_servers import verifying
from tests.mail_servers.exim import CAN_NOT_RUN, EximHost, can_run, running_exim
from tests.mail_servers.verifying import Servers, place_for_servers, verdict

pytestmark = pytest.mark.skipif(not can_run(), reason=CAN_NOT_RUN)

VALID = (OutcomeStatus.VALID, Reason.MAILBOX_EXISTS)
NO_SUCH_MAILBOX = (OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX)
CATCH_ALL = (OutcomeStatus.RISKY, Reason.CATCH_ALL)
MAILBOX_FULL = (OutcomeStatus.RISKY, Reason.MAILBOX_FULL)
MAILBOX_DISABLED = (OutcomeStatus.INVALID, Reason.MAILBOX_DISABLED)
UNCLEAR, BLOCKED, POLICY, RATE_LIMITED, GREYLISTED = (
    (OutcomeStatus.UNKNOWN, reason)
    for reason in (Reason.SERVER_UNCLEAR, Reason.BLOCKED, Reason.POLICY, Reason.RATE_LIMITED, Reason.GREYLISTED)
)

Truth = dict[str, tuple[OutcomeStatus, Reason]]

EMPLOYEES = [f"employee{number}@many.test" for number in range(12)]
UNKNOWN_USERS = [f"stranger{number}@many.test" for number in range(24)]

HOSTS = {
    "plain": EximHost(
        "127.62.0.1",
        ["plain.test"],
        ["grace@plain.test", "ada@plain.test"],
        rcpt="""
  deny message = mailbox is full
       local_parts = full
  deny message = This account has been suspended
       local_parts = suspended
  deny message = Only members may post to this list
       local_parts = members
  defer local_parts = trouble
  defer message = Could not complete recipient verify callout
       local_parts = callout
""",
    ),
    "slow": EximHost(
        "127.62.0.2",
        ["slow.test"],
        ["grace@slow.test", "ada@slow.test"],
        rcpt="""
  deny message = No such user here
       !verify = recipient
       delay = 1s
""",
    ),
    "drops": EximHost(
        "127.62.0.3",
        ["drops.test"],
        ["grace@drops.test", "ada@drops.test"],
        rcpt="""
  drop message = No such user here
       !verify = recipient
""",
    ),
    "early": EximHost("127.62.0.4", ["early.test"], ["grace@early.test"], settings={"pipelining_advertise_hosts": ""}),
    "listed": EximHost(
        "127.62.0.5",
        ["listed.test"],
        ["grace@listed.test"],
        rcpt="""
  deny message = Rejected because $sender_host_address is in a black list at dnsbl.test
""",
    ),
    "banner": EximHost(
        "127.62.0.6",
        ["banner.test"],
        ["grace@banner.test"],
        connect="  drop message = Your host is not welcome here\n",
    ),
    "helo": EximHost(
        "127.62.0.7",
        ["helo.test"],
        ["grace@helo.test"],
        rcpt="  deny message = HELO name is not verified\n",
    ),
    "sender": EximHost(
        "127.62.0.8",
        ["sender.test"],
        ["grace@sender.test"],
        mail="  deny message = Sender verify failed\n",
    ),
    "relay": EximHost("127.62.0.9", ["elsewhere.test"], ["grace@elsewhere.test"]),
    "many": EximHost(
        "127.62.0.10",
        ["many.test"],
        EMPLOYEES,
        settings={"recipients_max": "5", "smtp_accept_max_per_host": "2", "smtp_accept_max": "50"},
    ),
    "limited": EximHost(
        "127.62.0.11",
        ["limited.test"],
        ["grace@limited.test"],
        rcpt="""
  defer message = Sender rate $sender_rate / $sender_rate_period exceeds limit, try later
       ratelimit = 0 / 1h / strict / per_rcpt
""",
    ),
    "anybody": EximHost(
        "127.62.0.12",
        ["anybody.test"],
        [],
        rcpt="  accept\n",
    ),
    "grey": EximHost(
        "127.62.0.13",
        ["grey.test"],
        ["grace@grey.test"],
        rcpt="""
  defer message = Temporarily deferred, please try again in a moment
       !ratelimit = 1 / 1h / strict / noupdate / $local_part
       ratelimit = 0 / 1h / strict / $local_part
""",
    ),
}

TRUTH: Truth = {
    "grace@plain.test": VALID,
    "ada@plain.test": VALID,
    "unknown@plain.test": NO_SUCH_MAILBOX,
    "full@plain.test": MAILBOX_FULL,
    "suspended@plain.test": MAILBOX_DISABLED,
    "members@plain.test": POLICY,
    "trouble@plain.test": UNCLEAR,
    "callout@plain.test": UNCLEAR,
    "grace@slow.test": VALID,
    "ada@slow.test": VALID,
    "unknown@slow.test": NO_SUCH_MAILBOX,
    "someone@slow.test": NO_SUCH_MAILBOX,
    "unknown@drops.test": NO_SUCH_MAILBOX,
    "grace@drops.test": VALID,
    "someone@drops.test": NO_SUCH_MAILBOX,
    "ada@drops.test": VALID,
    "grace@early.test": VALID,
    "unknown@early.test": NO_SUCH_MAILBOX,
    "grace@listed.test": BLOCKED,
    "unknown@listed.test": BLOCKED,
    "grace@banner.test": BLOCKED,
    "unknown@banner.test": BLOCKED,
    "grace@helo.test": BLOCKED,
    "grace@sender.test": BLOCKED,
    "unknown@sender.test": BLOCKED,
    "grace@relay.test": POLICY,
    "unknown@relay.test": POLICY,
    "grace@limited.test": RATE_LIMITED,
    "unknown@limited.test": RATE_LIMITED,
    "grace@anybody.test": CATCH_ALL,
    "unknown@anybody.test": CATCH_ALL,
    **dict.fromkeys(EMPLOYEES, VALID),
    **dict.fromkeys(UNKNOWN_USERS, NO_SUCH_MAILBOX),
}


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    zone = {(f"{name}.test", "MX"): [f"10 mx.{name}.test."] for name in HOSTS}
    zone |= {(f"mx.{name}.test", "A"): [host.ip] for name, host in HOSTS.items()}
    with place_for_servers(zone, "mainlog") as place, ExitStack() as stack:
        for name, host in HOSTS.items():
            stack.enter_context(running_exim(place.home / name, host, place.port))
        yield place


def verify(servers: Servers, emails: Sequence[str], *, retries: int = 0) -> dict[str, Outcome]:
    """Verify addresses. A deferred one is probed again after a moment, at most `retries` times."""
    return verifying.verify(
        servers,
        emails,
        mail_from="probe@growth.example",
        connections_per_host=2,
        defer_seconds=(0.1,) * retries,
    )


def test_each_behaviour_leads_to_its_verdict(servers: Servers) -> None:
    outcomes = verify(servers, list(TRUTH), retries=1)

    assert {email: verdict(outcome) for email, outcome in outcomes.items()} == TRUTH


def test_exim_logs_no_synchronization_error_and_no_exceeded_limit(servers: Servers) -> None:
    verify(servers, [*EMPLOYEES, *UNKNOWN_USERS, "grace@early.test", "unknown@early.test"])

    logs = servers.log("many") + servers.log("early")
    assert not [line for line in logs.splitlines() if "synchronization error" in line or "too many connections" in line]


def test_deferred_addresses_get_their_verdict_on_a_later_visit(servers: Servers) -> None:
    outcomes = verify(servers, ["grace@grey.test", "unknown@grey.test"], retries=2)

    assert verdict(outcomes["grace@grey.test"]) == VALID
    assert verdict(outcomes["unknown@grey.test"]) == NO_SUCH_MAILBOX
