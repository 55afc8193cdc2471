"""The verifying stage against scripted mail servers."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pipeline.contacts import Contact
from pipeline.evidence import Evidence
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from tests.unit.mail.servers.odd_name_servers import bogus, odd_name_servers
from tests.unit.mail.servers.scripted_servers import Reply, Seen, Talk, drips, mail_host, world
from tests.unit.mail.verifying import addresses, outcome_of, outcomes_of

ACME = "acme.test"


def verify(
    contacts: Sequence[Contact], servers: Mapping[str, Reply | Talk], **config: Any
) -> tuple[dict[int, Outcome], dict[str, Seen]]:
    """Verify without deferrals."""

    async def scenario() -> tuple[dict[int, Outcome], dict[str, Seen]]:
        async with world(servers, defer_seconds=(), **config) as scripted:
            outcomes = await outcomes_of(contacts, scripted.network)
            return {outcome.position: outcome for outcome in outcomes}, scripted.seen

    return asyncio.run(scenario())


def verdicts(outcomes: Mapping[int, Outcome]) -> list[tuple[OutcomeStatus, Reason]]:
    return [(outcomes[position].status, outcomes[position].reason) for position in sorted(outcomes)]


def test_each_address_gets_a_verdict_with_its_evidence() -> None:
    outcomes, seen = verify(
        addresses("grace@acme.test", "nobody@acme.test", "info@acme.test"), {ACME: mail_host("grace", "info")}
    )

    assert verdicts(outcomes) == [
        (OutcomeStatus.VALID, Reason.MAILBOX_EXISTS),
        (OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX),
        (OutcomeStatus.RISKY, Reason.ROLE_ACCOUNT),
    ]
    assert outcomes[0].email == "grace@acme.test"
    assert outcomes[0].evidence.catch_all is False
    assert outcomes[1].evidence.reply.reply_code == 550
    assert seen[ACME].sessions == 1


def test_the_evidence_holds_the_reply_about_a_random_address() -> None:
    outcomes, _ = verify(addresses("grace@acme.test", "nobody@acme.test"), {ACME: mail_host("grace")})

    reply = outcomes[0].evidence.random_probe
    assert (reply.meaning, reply.reply_code, reply.enhanced_code) == ("no_such_mailbox", 550, "5.1.1")
    assert outcomes[1].evidence.random_probe is None


def test_the_evidence_holds_no_address() -> None:
    unknown = b"550 5.1.1 <Grace.Hopper@acme.test>: there is no grace.hopper here"

    outcomes, _ = verify(addresses("grace.hopper@acme.test"), {ACME: mail_host(unknown=unknown)})

    assert outcomes[0].evidence.reply.reply_text == "5.1.1 <address>: there is no <address> here"


def test_what_the_address_tells_by_itself_is_kept_with_the_verdict() -> None:
    outcomes, _ = verify(addresses("Info@acme.test", "grace@gamil.com"), {ACME: mail_host("Info")})

    assert outcomes[0].evidence.facts.role is True
    assert outcomes[0].evidence.facts.same_mailbox == "info@acme.test"
    assert outcomes[1].email == "grace@gamil.com"
    assert outcomes[1].evidence.facts.did_you_mean == "grace@gmail.com"


def test_an_address_at_a_catch_all_is_risky() -> None:
    outcomes, _ = verify(addresses("grace@acme.test"), {ACME: mail_host(unknown=b"250 Ok")})

    assert verdicts(outcomes) == [(OutcomeStatus.RISKY, Reason.CATCH_ALL)]
    assert outcomes[0].evidence.catch_all is True


def test_an_acceptance_that_proves_nothing_is_not_valid() -> None:
    outcomes, _ = verify(addresses("grace@acme.test"), {ACME: mail_host("grace", unknown=b"451 4.7.1 greylisted")})

    assert verdicts(outcomes) == [(OutcomeStatus.RISKY, Reason.SERVER_UNCLEAR)]


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (b"552 5.2.2 mailbox full", (OutcomeStatus.RISKY, Reason.MAILBOX_FULL)),
        (b"550 5.2.1 account disabled", (OutcomeStatus.INVALID, Reason.MAILBOX_DISABLED)),
        (b"450 4.2.1 user is receiving mail too quickly", (OutcomeStatus.RISKY, Reason.MAILBOX_BUSY)),
        (b"450 4.1.1 user unknown", (OutcomeStatus.UNKNOWN, Reason.SERVER_UNCLEAR)),
        (b"451 4.7.1 greylisted", (OutcomeStatus.UNKNOWN, Reason.GREYLISTED)),
        (b"550 5.7.1 your IP is blacklisted", (OutcomeStatus.UNKNOWN, Reason.BLOCKED)),
    ],
)
def test_what_the_server_says_decides(reply: bytes, verdict: tuple[OutcomeStatus, Reason]) -> None:
    outcomes, _ = verify(addresses("grace@acme.test"), {ACME: mail_host(replies={"RCPT": reply})})

    assert verdicts(outcomes) == [verdict]


def test_what_syntax_and_dns_decide_is_not_probed() -> None:
    contacts = [
        Contact(0),
        Contact(1, email=""),
        Contact(2, email="grace at acme"),
        Contact(3, email="grace@gone.test"),
    ]

    outcomes, seen = verify(contacts, {ACME: mail_host()})

    assert verdicts(outcomes) == [
        (OutcomeStatus.SKIPPED, Reason.NO_EMAIL),
        (OutcomeStatus.SKIPPED, Reason.NO_EMAIL),
        (OutcomeStatus.INVALID, Reason.SYNTAX),
        (OutcomeStatus.INVALID, Reason.NO_SUCH_DOMAIN),
    ]
    assert seen[ACME].sessions == 0


SEEN_BY_LOOKUP: dict[str, Any] = {
    "pattern": "first",
    "meaning": "accepted",
    "mail_host": "mx.acme.test",
    "reply_code": 250,
    "reply_text": "2.1.5 Ok",
    "catch_all": False,
    "asked_at": "2026-11-23T12:00:00.000+00:00",
}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, (OutcomeStatus.VALID, Reason.MAILBOX_EXISTS)),
        ({"catch_all": True}, (OutcomeStatus.RISKY, Reason.CATCH_ALL)),
        ({"meaning": "mailbox_full", "reply_code": 452}, (OutcomeStatus.RISKY, Reason.MAILBOX_FULL)),
        ({"mail_host": "mx.mail.ru", "catch_all": True}, (OutcomeStatus.RISKY, Reason.ACCEPTS_ALL_LATER_BOUNCES)),
    ],
)
def test_what_the_look_up_saw_is_not_probed_again(
    changes: dict[str, Any], verdict: tuple[OutcomeStatus, Reason]
) -> None:
    contact = Contact(0, email="grace@acme.test", evidence=Evidence.from_json(SEEN_BY_LOOKUP | changes))

    outcomes, seen = verify([contact], {ACME: mail_host()})

    assert verdicts(outcomes) == [verdict]
    assert outcomes[0].evidence.to_json().items() >= (SEEN_BY_LOOKUP | changes).items()
    assert seen[ACME].sessions == 0


@pytest.mark.parametrize("missing", ["mail_host", "reply_code", "catch_all", "meaning"])
def test_what_the_look_up_left_open_is_probed(missing: str) -> None:
    contact = Contact(0, email="grace@acme.test", evidence=Evidence.from_json(SEEN_BY_LOOKUP | {missing: None}))

    outcomes, seen = verify([contact], {ACME: mail_host("grace")})

    assert verdicts(outcomes) == [(OutcomeStatus.VALID, Reason.MAILBOX_EXISTS)]
    assert seen[ACME].sessions == 1


def test_an_address_that_comes_twice_is_probed_once() -> None:
    outcomes, seen = verify(addresses("grace@acme.test", "grace@ACME.test"), {ACME: mail_host("grace")})

    assert verdicts(outcomes) == [(OutcomeStatus.VALID, Reason.MAILBOX_EXISTS)] * 2
    assert seen[ACME].verbs("RCPT").count("RCPT TO:<grace@acme.test>") == 1


def test_a_tarpit_costs_one_time_limit_however_many_addresses_it_has() -> None:
    many = addresses(*(f"p{number}@acme.test" for number in range(60)))

    outcomes, seen = verify(many, {ACME: drips}, contact_timeout=0.3)

    assert set(verdicts(outcomes)) == {(OutcomeStatus.UNKNOWN, Reason.TIME_LIMIT)}
    assert seen[ACME].sessions == 1


def test_at_a_greylisting_server_every_address_is_probed_so_that_it_is_known_next_time() -> None:
    many = addresses(*(f"p{number}@acme.test" for number in range(60)))

    _, seen = verify(many, {ACME: mail_host(replies={"RCPT": b"451 4.7.1 greylisted"})})

    probed = set(seen[ACME].verbs("RCPT"))
    assert {f"RCPT TO:<{contact.email}>" for contact in many} < probed
    assert len(probed) == 60 + 1, "a random one, too"


def test_a_server_that_blocks_us_is_not_bothered_with_every_address() -> None:
    many = addresses(*(f"p{number}@acme.test" for number in range(60)))

    outcomes, seen = verify(many, {ACME: mail_host(replies={"RCPT": b"550 5.7.1 your IP is blacklisted"})})

    assert set(verdicts(outcomes)) == {(OutcomeStatus.UNKNOWN, Reason.BLOCKED)}
    assert len(seen[ACME].verbs("RCPT")) < 60


def test_the_error_of_the_name_servers_is_kept_as_evidence() -> None:
    async def scenario() -> Outcome:
        async with odd_name_servers({("acme.test", "MX"): bogus}) as (name_servers, _):
            network = MailNetwork(MailNetworkConfig(tuple(name_servers), defer_seconds=()))
            outcome = await outcome_of("grace@acme.test", network)
            await network.close()
            return outcome

    outcome = asyncio.run(scenario())

    assert (outcome.status, outcome.reason) == (OutcomeStatus.UNKNOWN, Reason.DNS_FAILURE)
    assert outcome.evidence.dns == "SERVFAIL (DNSSEC BOGUS: signature crypto failed)"
