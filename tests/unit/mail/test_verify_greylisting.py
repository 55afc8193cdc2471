"""The verifying stage at servers that greylist."""

import asyncio

import pytest

from pipeline.contacts import Batch, Contact
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.stages import stage_named
from tests.unit.mail.servers.scripted_servers import SERVFAIL, Greylist, Reply, mail_host, name_server, world
from tests.unit.mail.verifying import results_of

ACME = "acme.test"
GRACE = Contact(0, email="grace@acme.test")
VALID = (OutcomeStatus.VALID, Reason.MAILBOX_EXISTS)


def passes(server: Reply, *contacts: Contact) -> list[dict[int, Deferral | tuple[OutcomeStatus, Reason]]]:
    """Work what is left again and again, each time in a network without memory, until all have an outcome."""
    visits: list[dict[int, Deferral | tuple[OutcomeStatus, Reason]]] = []

    async def one_pass() -> None:
        async with world({ACME: server}) as scripted:
            answers = await results_of(left, scripted.network)
        visits.append(
            {each.position: (each.status, each.reason) if isinstance(each, Outcome) else each for each in answers}
        )

    left = list(contacts)
    while left:
        asyncio.run(one_pass())
        left = [
            contact._replace(deferrals=contact.deferrals + 1)
            for contact in left
            if isinstance(visits[-1][contact.position], Deferral)
        ]
        if isinstance(server, Greylist):
            server.let_time_pass()
    return visits


def test_each_address_gets_a_verdict_at_the_second_visit() -> None:
    many = [Contact(position, email=f"p{position}@acme.test") for position in range(60)]
    server = Greylist(mail_host(*(f"p{position}" for position in range(0, 60, 2))))

    visits = passes(server, *many)

    assert visits[0] == {position: Deferral(position, 300.0, Reason.GREYLISTED) for position in range(60)}
    invalid = (OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX)
    assert visits[1] == {position: invalid if position % 2 else VALID for position in range(60)}


def test_a_catch_all_behind_a_greylist_is_recognised() -> None:
    visits = passes(Greylist(mail_host(unknown=b"250 Ok")), GRACE)

    assert visits[1] == {0: (OutcomeStatus.RISKY, Reason.CATCH_ALL)}


def test_an_acceptance_whose_random_probe_is_greylisted_is_probed_again() -> None:
    visits = passes(Greylist(mail_host("grace"), known={"RCPT TO:<grace@acme.test>"}), GRACE)

    assert visits == [{0: Deferral(0, 300.0, Reason.GREYLISTED)}, {0: VALID}]


def test_after_the_last_deferral_there_is_a_verdict() -> None:
    visits = passes(mail_host("grace", unknown=b"451 4.7.1 greylisted"), GRACE)

    assert visits == [
        {0: Deferral(0, 300.0, Reason.GREYLISTED)},
        {0: Deferral(0, 900.0, Reason.GREYLISTED)},
        {0: (OutcomeStatus.RISKY, Reason.SERVER_UNCLEAR)},
    ]


@pytest.mark.parametrize(
    ("reply", "deferral"),
    [
        (b"451 4.7.1 greylisted for 2 minutes", Deferral(0, 125.0, Reason.GREYLISTED)),
        (b"421 4.7.0 too many connections", Deferral(0, 300.0, Reason.RATE_LIMITED)),
        (b"550 5.7.1 rate limit exceeded", (OutcomeStatus.UNKNOWN, Reason.RATE_LIMITED)),
        (b"550 5.7.1 your IP is blacklisted", (OutcomeStatus.UNKNOWN, Reason.BLOCKED)),
        (b"451 Temporary local problem - please try later", Deferral(0, 300.0, Reason.SERVER_UNCLEAR)),
        (b"450 4.3.2 something is wrong", Deferral(0, 300.0, Reason.SERVER_UNCLEAR)),
        (b"421 4.3.0 unexpected failure", Deferral(0, 300.0, Reason.SERVER_UNCLEAR)),
        (b"550 5.3.0 something is wrong", (OutcomeStatus.UNKNOWN, Reason.SERVER_UNCLEAR)),
        (b"452 4.2.2 mailbox full", (OutcomeStatus.RISKY, Reason.MAILBOX_FULL)),
    ],
)
def test_only_what_may_pass_is_deferred(reply: bytes, deferral: Deferral | tuple[OutcomeStatus, Reason]) -> None:
    assert passes(mail_host(replies={"RCPT": reply}), GRACE)[0] == {0: deferral}


def test_addresses_that_a_rate_limit_left_unprobed_are_deferred_too() -> None:
    many = [Contact(position, email=f"p{position}@acme.test") for position in range(60)]

    visits = passes(mail_host(replies={"RCPT": b"421 4.7.0 too many connections"}), *many)

    assert visits[0] == {position: Deferral(position, 300.0, Reason.RATE_LIMITED) for position in range(60)}


def test_a_server_in_trouble_is_probed_until_it_has_recovered() -> None:
    recovered = mail_host("grace")
    troubles = [b"451 4.3.0 <grace@acme.test>: Temporary lookup failure"]

    def server(command: str) -> bytes | None:
        return troubles.pop() if troubles and command.startswith("RCPT") else recovered(command)

    visits = passes(server, GRACE)

    assert visits == [{0: Deferral(0, 300.0, Reason.SERVER_UNCLEAR)}, {0: VALID}]


def test_a_transient_refusal_of_the_random_probe_shows_that_the_server_distinguishes_mailboxes() -> None:
    visits = passes(mail_host("grace", unknown=b"450 4.1.1 User unknown in local recipient table"), GRACE)

    assert visits == [{0: VALID}]


@pytest.mark.parametrize("stage", ["email_verify", "email_lookup"])
def test_a_domain_whose_name_servers_fail_is_looked_up_again_until_its_last_deferral(stage: str) -> None:
    contact = Contact(0, email="grace@broken.test" if stage == "email_verify" else "", full_name="Grace Hopper")
    contact = contact._replace(domain="broken.test")

    async def scenario() -> list[Outcome | Deferral]:
        async with name_server({("broken.test", "MX"): SERVFAIL}) as (_, resolver):
            network = MailNetwork(MailNetworkConfig(nameservers=(resolver,)))
            work = stage_named(stage).stage.work
            passes = [Batch([contact._replace(deferrals=deferrals)]) for deferrals in (0, 1, 2)]
            results = [each for batch in passes async for each in work(batch, network)]
            await network.close()
            return results

    first, second, last = asyncio.run(scenario())

    assert (first, second) == (Deferral(0, 300.0, Reason.DNS_FAILURE), Deferral(0, 900.0, Reason.DNS_FAILURE))
    assert isinstance(last, Outcome)
    assert last.status in (OutcomeStatus.UNKNOWN, OutcomeStatus.NOT_FOUND)
    assert last.reason is Reason.DNS_FAILURE
