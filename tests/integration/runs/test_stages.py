"""Both stages one after the other on the sandbox's small internet, also with interruptions."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing

import pytest

from pipeline.contacts import Batch, Contact
from pipeline.errors import StorageFailed
from pipeline.mail.network import MailNetwork
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.stages import STAGES, stage_named
from pipeline.stages.by_domain import work_by_domain
from sandbox.counts import Counts
from sandbox.domains import Behaviour, invent_domains
from sandbox.internet import Internet
from sandbox.people import Person, invent_people
from sandbox.truth import Mailbox
from tests.factories import taught_by
from tests.integration.conftest import mail_config
from tests.unit.mail.servers.scripted_servers import Greylist, drips, mail_host, world

CONNECTIONS_PER_HOST = 3
SLOW_SECONDS = 0.05
GREYLIST_SECONDS = 0.5


async def through_both_stages(
    people: Sequence[Person], internet: Internet
) -> tuple[dict[int, Outcome], dict[int, Outcome]]:
    network = MailNetwork(mail_config(internet, connections_per_host=CONNECTIONS_PER_HOST, defer_seconds=()))
    contacts = [
        Contact(position, first_name=person.first_name, last_name=person.last_name, domain=person.domain)
        for position, person in enumerate(people)
    ]
    looked_up = await work("email_lookup", contacts, network)
    found = [
        Contact(position, email=outcome.email, evidence=outcome.evidence) for position, outcome in looked_up.items()
    ]
    verified = await work("email_verify", found, network)
    await network.close()
    return looked_up, verified


async def work(stage: str, contacts: Sequence[Contact], network: MailNetwork) -> dict[int, Outcome]:
    results = [each async for each in stage_named(stage).stage.work(Batch(contacts), network)]
    outcomes = [each for each in results if isinstance(each, Outcome)]
    assert sorted(outcome.position for outcome in outcomes) == sorted(contact.position for contact in contacts)
    return {outcome.position: outcome for outcome in outcomes}


class Run:
    """Work three hundred invented people through both stages."""

    def __init__(self) -> None:
        # Greylisting servers have a test of their own.
        domains = [domain for domain in invent_domains(seed=21) if domain.behaviour is not Behaviour.GREYLISTING]
        self.people = invent_people(21, 300, domains)
        with Internet(self.people, domains, slow_seconds=SLOW_SECONDS) as internet:
            self.looked_up, self.verified = asyncio.run(through_both_stages(self.people, internet))
            self.counts: Counts = internet.counts

    @property
    def findable(self) -> dict[int, Person]:
        return {position: person for position, person in enumerate(self.people) if person.findable}


@pytest.fixture(scope="module")
def run() -> Run:
    return Run()


def test_findable_people_are_found(run: Run) -> None:
    right = [position for position, person in run.findable.items() if run.looked_up[position].email == person.email]

    assert len(right) >= 0.97 * len(run.findable)


def test_no_wrong_address_is_found(run: Run) -> None:
    wrong = {
        outcome.email: run.people[position].email
        for position, outcome in run.looked_up.items()
        if outcome.email not in (None, run.people[position].email)
    }

    assert wrong == {}


def test_each_unfindable_contact_has_the_right_reason(run: Run) -> None:
    reasons = {
        position: str(outcome.reason)
        for position, outcome in run.looked_up.items()
        if outcome.email is None and not run.people[position].findable
    }

    assert reasons == {position: run.people[position].reason_not_found for position in reasons}


def test_the_verdicts_are_the_truth(run: Run) -> None:
    verdicts = {
        position: str(outcome.status)
        for position, outcome in run.verified.items()
        if run.looked_up[position].email is not None
    }

    assert verdicts == {position: run.people[position].verdict for position in verdicts}


def test_no_message_is_ever_sent_and_every_session_ends_with_quit(run: Run) -> None:
    counts = run.counts

    assert counts.commands("DATA") == 0
    assert counts.commands("QUIT") == counts.commands("EHLO")


def test_no_host_sees_more_connections_at_once_than_configured(run: Run) -> None:
    assert max(host.most_at_once for host in run.counts.hosts.values()) <= CONNECTIONS_PER_HOST


def test_few_probes_find_an_address(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = sum(outcome.email is not None for outcome in run.looked_up.values())
    per_found = run.counts.commands("RCPT") / found

    with capsys.disabled():
        print(f"\n{run.counts.commands('RCPT')} RCPT for {found} found addresses: {per_found:.2f} each")  # noqa: T201
    assert per_found < 4


# Later visits to servers that greylist


async def look_up_until_done(people: Sequence[Person], internet: Internet) -> list[dict[int, Outcome | Deferral]]:
    """Look people up repeatedly, each time as a new process would, until all have an outcome.

    Each process loads the patterns that the outcomes so far show for the domains.
    """
    remaining = [
        Contact(position, first_name=person.first_name, last_name=person.last_name, domain=person.domain)
        for position, person in enumerate(people)
    ]
    passes: list[dict[int, Outcome | Deferral]] = []
    while remaining:
        network = MailNetwork(mail_config(internet))
        results = stage_named("email_lookup").stage.work(Batch(remaining, taught_by(passes)), network)
        passes.append({each.position: each async for each in results})
        await network.close()
        remaining = [
            contact._replace(deferrals=contact.deferrals + 1)
            for contact in remaining
            if isinstance(passes[-1][contact.position], Deferral)
        ]
        await asyncio.sleep(GREYLIST_SECONDS)
    return passes


BEHIND_THE_GREYLIST = {
    Mailbox.OPEN: Reason.MAILBOX_EXISTS,
    Mailbox.FULL: Reason.MAILBOX_FULL,
    Mailbox.DISABLED: Reason.MAILBOX_DISABLED,
    Mailbox.NONE: Reason.EVERY_CANDIDATE_REFUSED,
}


def test_later_visits_to_a_greylisting_server_find_the_truth() -> None:
    domains = [domain for domain in invent_domains(21, 300) if domain.behaviour is Behaviour.GREYLISTING]
    people = invent_people(22, 100, domains)

    with Internet(people, domains, greylist_seconds=GREYLIST_SECONDS) as internet:
        passes = asyncio.run(look_up_until_done(people, internet))

    assert [type(result) for result in passes[0].values()] == [Deferral] * 100
    assert len(passes) <= 4
    found = {
        each.position: (each.email, each.reason)
        for results in passes
        for each in results.values()
        if isinstance(each, Outcome)
    }
    truth = {
        position: (
            person.email if person.mailbox in {Mailbox.OPEN, Mailbox.FULL} else None,
            BEHIND_THE_GREYLIST[person.mailbox],
        )
        for position, person in enumerate(people)
    }
    right = [position for position in truth if found[position] == truth[position]]
    assert len(right) >= 0.97 * len(people)
    assert {position for position, (email, _) in found.items() if email} <= {
        position for position, (email, _) in truth.items() if email == found[position][0]
    }, "a wrong address was found"


# A problem of one domain does not affect the others


def test_a_slow_domain_delays_no_other() -> None:
    async def scenario() -> list[tuple[int, float]]:
        servers = {"tarpit.test": drips, "acme.test": mail_host("grace.hopper")}
        async with world(servers, contact_timeout=0.5) as scripted:
            contacts = [
                Contact(0, full_name="Grace Hopper", domain="tarpit.test"),
                Contact(1, full_name="Grace Hopper", domain="acme.test"),
            ]
            clock = asyncio.get_running_loop().time
            started = clock()
            outcomes = stage_named("email_lookup").stage.work(Batch(contacts), scripted.network)
            return [(outcome.position, clock() - started) async for outcome in outcomes]

    (first, quickly), (second, late) = asyncio.run(scenario())

    assert (first, second) == (1, 0)
    assert quickly < 0.25 < late


def contacts_at(domain: str, *positions: int) -> list[Contact]:
    return [Contact(position, domain=domain) for position in positions]


async def work_that_breaks_at_one_domain(domain: str, contacts: Sequence[Contact]) -> AsyncIterator[Outcome]:
    for contact in contacts:
        await asyncio.sleep(0)
        if domain == "broken.test" and contact.position == 2:
            raise RuntimeError(f"{domain} is at fault")
        yield Outcome(contact.position, OutcomeStatus.FOUND, Reason.INPUT)


def test_a_fault_costs_the_contacts_of_its_domain_only(caplog: pytest.LogCaptureFixture) -> None:
    domains = {"broken.test": contacts_at("broken.test", 1, 2, 3), "acme.test": contacts_at("acme.test", 4, 5)}

    async def scenario() -> dict[int, Reason]:
        outcomes = work_by_domain(domains, work_that_breaks_at_one_domain, at_once=10, on_fault=OutcomeStatus.NOT_FOUND)
        return {outcome.position: outcome.reason async for outcome in outcomes}

    with caplog.at_level(logging.ERROR):
        reasons = asyncio.run(scenario())

    assert reasons == {
        1: Reason.INPUT,
        2: Reason.INTERNAL_ERROR,
        3: Reason.INTERNAL_ERROR,
        4: Reason.INPUT,
        5: Reason.INPUT,
    }
    assert "positions [2, 3]: RuntimeError" in caplog.text
    assert "in work_that_breaks_at_one_domain" in caplog.text
    assert "broken.test is at fault" not in caplog.text


def test_a_suppression_list_that_can_not_be_read_is_no_fault_of_a_domain() -> None:
    async def unreadable(_domain: str, contacts: Sequence[Contact]) -> AsyncIterator[Outcome]:
        yield Outcome(contacts[0].position, OutcomeStatus.FOUND, Reason.INPUT)
        raise StorageFailed("suppression list", "database error 57014")

    async def scenario() -> list[int]:
        domains = {"acme.test": contacts_at("acme.test", 1, 2)}
        outcomes = work_by_domain(domains, unreadable, at_once=1, on_fault=OutcomeStatus.UNKNOWN)
        return [(await anext(outcomes)).position, (await anext(outcomes)).position]

    with pytest.raises(StorageFailed):
        asyncio.run(scenario())


def test_a_contact_for_which_the_work_yields_nothing_gets_an_outcome() -> None:
    async def forgetful(domain: str, contacts: Sequence[Contact]) -> AsyncIterator[Outcome]:
        yield Outcome(contacts[0].position, OutcomeStatus.FOUND, Reason.INPUT)

    async def scenario() -> Mapping[int, Reason]:
        outcomes = work_by_domain(
            {"acme.test": contacts_at("acme.test", 1, 2)}, forgetful, at_once=1, on_fault=OutcomeStatus.UNKNOWN
        )
        return {outcome.position: outcome.reason async for outcome in outcomes}

    assert asyncio.run(scenario()) == {1: Reason.INPUT, 2: Reason.INTERNAL_ERROR}


def test_a_deferral_counts_as_a_contacts_result() -> None:
    async def defers_one(domain: str, contacts: Sequence[Contact]) -> AsyncIterator[Outcome | Deferral]:
        yield Deferral(contacts[0].position, 300.0, Reason.GREYLISTED)
        yield Outcome(contacts[1].position, OutcomeStatus.FOUND, Reason.INPUT)

    async def scenario() -> list[int]:
        results = work_by_domain(
            {"acme.test": contacts_at("acme.test", 1, 2)}, defers_one, at_once=1, on_fault=OutcomeStatus.UNKNOWN
        )
        return [result.position async for result in results]

    assert asyncio.run(scenario()) == [1, 2]


@pytest.mark.parametrize("stage", ["email_lookup", "email_verify"])
@pytest.mark.parametrize("kind", [Outcome, Deferral])
def test_a_stage_that_is_closed_early_leaves_no_task_and_no_connection(
    stage: str, kind: type[Outcome] | type[Deferral]
) -> None:
    ordinary = mail_host("grace.hopper")

    async def scenario() -> tuple[int, int]:
        servers = {"acme.test": ordinary if kind is Outcome else Greylist(ordinary)} | {
            f"tarpit{n}.test": drips for n in range(20)
        }
        async with world(servers) as scripted:
            contacts = [
                Contact(
                    position,
                    full_name="Grace Hopper",
                    domain=domain,
                    email=f"grace.hopper@{domain}" if stage == "email_verify" else None,
                )
                for position, domain in enumerate(servers)
            ]
            stream = stage_named(stage).stage.work(Batch(contacts), scripted.network)
            async with asyncio.timeout(2), aclosing(stream) as outcomes:  # type: ignore[type-var]
                assert isinstance(await anext(outcomes), kind)
            left = [task for task in asyncio.all_tasks() if "worker" in repr(task.get_coro())]
            for seen in scripted.seen.values():
                await asyncio.wait_for(seen.everybody_left.wait(), timeout=5)
            return len(left), sum(seen.sessions for seen in scripted.seen.values())

    left, sessions = asyncio.run(scenario())

    assert left == 0
    assert sessions > 1, "there was something to end"


# The table of stages


def test_the_weights_of_all_stages_add_up_to_100() -> None:
    assert sum(stage.weight for stage in STAGES) == 100


def test_an_unknown_stage_is_an_error() -> None:
    with pytest.raises(KeyError):
        stage_named("no_such_stage")
