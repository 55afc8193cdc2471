"""The verifying stage at servers whose code contradicts their text, or that refuse before any recipient."""

import asyncio
from collections.abc import Mapping

import pytest

from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from tests.unit.mail.servers.scripted_servers import Reply, mail_host, world
from tests.unit.mail.verifying import outcome_of

VALID = (OutcomeStatus.VALID, Reason.MAILBOX_EXISTS)
NO_SUCH_MAILBOX = (OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX)
FULL = (OutcomeStatus.RISKY, Reason.MAILBOX_FULL)
BLOCKED = (OutcomeStatus.UNKNOWN, Reason.BLOCKED)
POLICY = (OutcomeStatus.UNKNOWN, Reason.POLICY)
UNCLEAR = (OutcomeStatus.UNKNOWN, Reason.SERVER_UNCLEAR)
GREYLISTED = (OutcomeStatus.UNKNOWN, Reason.GREYLISTED)
RATE_LIMITED = (OutcomeStatus.UNKNOWN, Reason.RATE_LIMITED)


def verdict(server: Reply, local: str = "grace", **config: object) -> tuple[OutcomeStatus, Reason]:
    """Verify one address at a server, without deferrals."""

    async def scenario() -> Outcome:
        async with world({"acme.test": server}, defer_seconds=(), **config) as scripted:
            return await outcome_of(f"{local}@acme.test", scripted.network)

    outcome = asyncio.run(scenario())
    return outcome.status, outcome.reason


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({"": b"554 5.7.1 No SMTP service here"}, BLOCKED),
        ({"": b"554 mx.acme.test ESMTP not accepting messages"}, BLOCKED),
        ({"": b"421 4.3.2 Service not available, closing transmission channel"}, UNCLEAR),
        ({"": b"421 4.7.0 Too many connections from your host"}, RATE_LIMITED),
        ({"EHLO": b"502 5.5.1 not implemented"}, VALID),
        ({"EHLO": b"550 5.7.1 Helo command rejected: Host not found"}, BLOCKED),
        ({"MAIL": b"530 5.7.0 Must issue a STARTTLS command first"}, POLICY),
        ({"MAIL": b"530 5.7.1 Authentication required"}, POLICY),
        ({"MAIL": b"550 5.1.8 Sender address rejected: Domain not found"}, BLOCKED),
        ({"MAIL": b"553 5.1.7 Null sender is not allowed"}, BLOCKED),
        ({"MAIL": b"550 No such user here"}, BLOCKED),
        ({"MAIL": b"451 4.3.0 Temporary lookup failure"}, UNCLEAR),
        ({"MAIL": None}, UNCLEAR),
        ({"RCPT": None}, UNCLEAR),
    ],
)
def test_a_refusal_before_the_recipient_says_nothing_about_the_mailbox(
    replies: Mapping[str, bytes | None], expected: tuple[OutcomeStatus, Reason]
) -> None:
    assert verdict(mail_host("grace", replies=replies)) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"252 2.1.5 Cannot VRFY user, but will accept message", UNCLEAR),
        (b"551 5.1.6 User not local; please try <grace@elsewhere.test>", NO_SUCH_MAILBOX),
        (b"550 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org", BLOCKED),
        (b"550 5.7.25 Your IP address has no PTR record", BLOCKED),
        (b"550 5.7.1 Message rejected due to local policy", POLICY),
        (b"550 5.7.1 Unable to relay", POLICY),
        (b"550 relay not permitted", POLICY),
        (b"554 5.7.1 <grace@acme.test>: Relay access denied", POLICY),
        (b"552 5.2.2 Mailbox full", FULL),
        (b"452 4.2.2 Over quota", FULL),
        (b"450 4.2.0 Greylisted", GREYLISTED),
        (b"530 5.7.0 Must issue a STARTTLS command first", POLICY),
        (b"503 5.5.1 Bad sequence of commands", UNCLEAR),
        (b"500 5.5.2 Error: bad syntax", UNCLEAR),
        (b"555 5.5.4 Unsupported option", UNCLEAR),
        (b"550", UNCLEAR),
        (b"550 5.0.0", UNCLEAR),
        (b"554 Transaction failed", UNCLEAR),
        (b"550-5.1.1 no such user\r\n250 Ok", UNCLEAR),
    ],
)
def test_a_reply_to_everybody_is_judged_by_what_it_is_about(
    reply: bytes, expected: tuple[OutcomeStatus, Reason]
) -> None:
    assert verdict(mail_host(replies={"RCPT": reply})) == expected


def test_user_not_local_will_forward_is_an_acceptance() -> None:
    server = mail_host(replies={"RCPT TO:<grace": b"251 2.1.5 User not local; will forward to <grace@elsewhere.test>"})

    assert verdict(server) == VALID


def test_a_random_probe_that_is_refused_because_of_us_proves_nothing() -> None:
    server = mail_host(replies={"RCPT TO:<grace": b"250 Ok"}, unknown=b"550 5.7.1 Client host blocked using dnsbl.test")

    assert verdict(server) == (OutcomeStatus.RISKY, Reason.SERVER_UNCLEAR)


def test_a_server_that_wants_a_sender_gets_the_configured_one() -> None:
    server = mail_host("grace", replies={"MAIL FROM:<>": b"553 5.1.7 Null sender is not allowed"})

    assert verdict(server, mail_from="probe@sender.example") == VALID
