"""The look-up at servers that greylist."""

import asyncio
from collections.abc import Sequence
from string import ascii_lowercase

import pytest

from pipeline.contacts import Batch, Contact, PatternCount
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.stages import stage_named
from tests.factories import taught_by
from tests.unit.lookup.looking_up import ACME, contacts
from tests.unit.mail.servers.scripted_servers import Greylist, Reply, Seen, mail_host, world

NAMES = ["Grace Hopper", "Alan Turinger", "Ada Lovell", "Kurt Godelin", "Emmy Noetherin", "Zoe Weylin", "Ida Rhodesia"]


def passes(
    contacts: Sequence[Contact], server: Reply, defer_seconds: tuple[float, ...] = (300.0, 900.0)
) -> tuple[list[dict[int, Outcome | Deferral]], list[Seen]]:
    """Work what is left again and again, until all have an outcome.

    Each pass has a network without memory, and knows the patterns of the outcomes before it, as a loaded chunk does.
    """
    results: list[dict[int, Outcome | Deferral]] = []
    seen: list[Seen] = []

    async def one_pass() -> None:
        async with world({ACME: server}, defer_seconds=defer_seconds) as scripted:
            work = stage_named("email_lookup").stage.work(Batch(left, taught_by(results)), scripted.network)
            results.append({each.position: each async for each in work})
            seen.append(scripted.seen[ACME])

    left = list(contacts)
    while left:
        asyncio.run(one_pass())
        assert sorted(results[-1]) == sorted(contact.position for contact in left)
        left = [
            contact._replace(deferrals=contact.deferrals + 1)
            for contact in left
            if isinstance(results[-1][contact.position], Deferral)
        ]
        if isinstance(server, Greylist):
            server.let_time_pass()
    return results, seen


def reasons(results: dict[int, Outcome | Deferral]) -> set[Reason]:
    return {each.reason for each in results.values()}


@pytest.mark.parametrize("pattern", ["{0}.{1}", "{1}_{0}", "{1}.{2}"], ids=["common", "rare", "rarest"])
def test_everybody_is_found_at_the_second_visit_whatever_the_pattern(pattern: str) -> None:
    mailboxes = [pattern.format(*name.lower().split(), name[0].lower()) for name in NAMES]

    results, _ = passes(contacts(*NAMES), Greylist(mail_host(*mailboxes)))

    assert [sorted(type(each).__name__ for each in one.values()) for one in results] == [
        ["Deferral"] * 7,
        ["Outcome"] * 7,
    ]
    found = [results[1][position] for position in range(7)]
    assert [each.email for each in found if isinstance(each, Outcome)] == [f"{each}@{ACME}" for each in mailboxes]
    assert all(each.evidence.catch_all is False for each in found if isinstance(each, Outcome))


def test_people_without_a_mailbox_get_a_conclusive_reason() -> None:
    results, _ = passes(contacts(*NAMES), Greylist(mail_host("grace.hopper")))

    assert len(results) == 2
    assert sorted(each.reason for each in results[1].values()) == [Reason.EVERY_CANDIDATE_REFUSED] * 6 + [
        Reason.MAILBOX_EXISTS
    ]


def test_names_with_many_spellings_are_found_in_the_third_pass_at_the_latest() -> None:
    names = ["María José García López", "Jean-Luc van den Berg", "Grace Hopper"]
    server = Greylist(mail_host("mj.garcia.lopez", "jl_vandenberg", "jlvandenberg", "ghopper", "mgarcialopez"))

    results, _ = passes(contacts(*names), server)

    assert len(results) <= 3
    assert not any(each.reason is Reason.GREYLISTED for each in results[-1].values())
    final = {position: each for one in results for position, each in one.items()}
    assert isinstance(final[2], Outcome)
    assert final[2].email == f"ghopper@{ACME}"


def test_a_catch_all_behind_a_greylist_is_recognised() -> None:
    results, _ = passes(contacts(*NAMES), Greylist(mail_host(unknown=b"250 2.1.5 Ok")))

    assert [reasons(one) for one in results] == [{Reason.GREYLISTED}, {Reason.CATCH_ALL}]


def test_a_new_process_sends_the_same_probes() -> None:
    _, seen = passes(contacts(*NAMES), mail_host(replies={"RCPT": b"451 4.7.1 greylisted"}))

    assert len(seen) == 3
    assert seen[0].commands == seen[1].commands


def test_no_address_is_probed_twice_in_a_pass() -> None:
    _, seen = passes(contacts(*NAMES), Greylist(mail_host()))

    probed = seen[0].verbs("RCPT")
    assert len(probed) == len(set(probed))


def test_at_a_large_domain_everybody_is_probed() -> None:
    names = [f"Person{chr(97 + n // 26)} Family{chr(97 + n % 26)}" for n in range(60)]
    mailboxes = [name.lower().replace(" ", "-") for name in names]

    results, _ = passes(contacts(*names), Greylist(mail_host(*mailboxes)))

    final = {position: each for one in results for position, each in one.items()}
    assert len(results) <= 3
    assert reasons(final) == {Reason.MAILBOX_EXISTS}


def test_at_a_large_domain_with_two_patterns_everybody_is_found_at_the_fourth_visit() -> None:
    names = [f"Grace Family{letter}" for letter in ascii_lowercase]
    mailboxes = [f"grace.family{letter}" if letter > "h" else f"gfamily{letter}" for letter in ascii_lowercase]

    results, _ = passes(contacts(*names), Greylist(mail_host(*mailboxes)))

    final = {position: each for one in results for position, each in one.items()}
    assert len(results) == 4
    assert {each.seconds for each in results[2].values() if isinstance(each, Deferral)} == {900.0}
    assert reasons(final) == {Reason.MAILBOX_EXISTS}


@pytest.mark.parametrize("spelled", ["garcia", "garcialopez"])
def test_a_person_who_alone_is_greylisted_is_probed_so_that_the_last_visit_finds_them(spelled: str) -> None:
    names = [*NAMES, "José García López"]
    people = mail_host(*[name.lower().replace(" ", ".") for name in NAMES], f"jose.{spelled}")
    greylist = Greylist(people)

    def greylists_one(command: str) -> bytes | None:
        return (greylist if command.startswith("RCPT") and "garcia" in command else people)(command)

    async def visit(deferrals: int) -> Outcome | Deferral:
        people = [contact._replace(deferrals=deferrals) for contact in contacts(*names)]
        async with world({ACME: greylists_one}, defer_seconds=(300.0, 900.0)) as scripted:
            work = stage_named("email_lookup").stage.work(Batch(people), scripted.network)
            return {each.position: each async for each in work}[len(NAMES)]

    assert isinstance(asyncio.run(visit(deferrals=2)), Deferral)
    greylist.let_time_pass()
    found = asyncio.run(visit(deferrals=3))

    assert isinstance(found, Outcome)
    assert found.email == f"jose.{spelled}@{ACME}"


def test_a_postponed_address_that_meanwhile_became_a_colleagues_is_not_probed_again() -> None:
    names = ["Tuan Bradfordson", *NAMES[:3], "Tuan Whitfieldson"]
    people = mail_host("tuan", *[name.lower().split()[0] for name in NAMES])
    greylisted_once: list[str] = []

    def greylists_the_first(command: str) -> bytes | None:
        if command.startswith("RCPT TO:<tuan@") and not greylisted_once:
            greylisted_once.append(command)
            return b"451 4.7.1 greylisted"
        return people(command)

    async def visit() -> dict[int, Outcome | Deferral]:
        known = {ACME: [PatternCount("first", 1.0)]}
        async with world({ACME: greylists_the_first}, defer_seconds=(300.0, 900.0)) as scripted:
            work = stage_named("email_lookup").stage.work(Batch(contacts(*names), known), scripted.network)
            return {each.position: each async for each in work}

    results = asyncio.run(visit())

    assert greylisted_once
    assert [results[position].reason for position in (0, 4)] == [Reason.NAMESAKES, Reason.NAMESAKES]
    assert [results[position].reason for position in (1, 2, 3)] == [Reason.MAILBOX_EXISTS] * 3


def test_without_deferrals_there_is_no_extra_visit_either() -> None:
    mailboxes = [name.lower().replace(" ", ".") for name in NAMES]
    greylists_one = {f"RCPT TO:<{mailboxes[-1]}@": b"451 4.7.1 greylisted"}

    (result,), _ = passes(contacts(*NAMES), mail_host(*mailboxes, replies=greylists_one), ())

    assert result[len(NAMES) - 1].reason is Reason.GREYLISTED
    assert reasons(result) == {Reason.MAILBOX_EXISTS, Reason.GREYLISTED}


def test_a_greylisting_server_is_not_probed_for_every_candidate() -> None:
    names = [f"Person{chr(97 + n // 26)} Family{chr(97 + n % 26)}" for n in range(60)]
    mailboxes = [name.lower().replace(" ", "") for name in names]

    _, seen = passes(contacts(*names), Greylist(mail_host(*mailboxes)))

    assert sum(len(one.verbs("RCPT")) for one in seen) < 4 * 60


def test_at_a_server_that_greylists_clients_everybody_is_found_at_the_second_visit() -> None:
    names = [f"Person{chr(97 + n // 26)} Family{chr(97 + n % 26)}" for n in range(60)]
    greylist = Greylist(mail_host(*[name.lower().replace(" ", "-") for name in names]))

    def knows_the_client(command: str) -> bytes | None:
        return greylist.behind(command) if greylist.known else greylist(command)

    async def scenario() -> list[Outcome | Deferral]:
        people = contacts(*names)
        async with world({ACME: knows_the_client}, defer_seconds=(300.0, 900.0)) as scripted:
            work = stage_named("email_lookup").stage.work
            first = [each async for each in work(Batch(people), scripted.network)]
            assert {type(each) for each in first} == {Deferral}
            greylist.let_time_pass()
            again = [contact._replace(deferrals=1) for contact in people]
            return [each async for each in work(Batch(again), scripted.network)]

    assert {each.reason for each in asyncio.run(scenario())} == {Reason.MAILBOX_EXISTS}


def test_the_first_visit_probes_few_of_many_people() -> None:
    names = [f"Person{chr(97 + n // 26)} Family{chr(97 + n % 26)}" for n in range(60)]

    _, seen = passes(contacts(*names), Greylist(mail_host()))

    assert len(seen[0].verbs("RCPT")) < 60


# How long, how often, and why


def test_each_deferral_has_its_wait_and_the_last_one_is_followed_by_an_outcome() -> None:
    results, _ = passes(contacts("Grace Hopper"), mail_host(replies={"RCPT": b"451 4.7.1 greylisted"}))

    assert results[:2] == [
        {0: Deferral(0, 300.0, Reason.GREYLISTED)},
        {0: Deferral(0, 900.0, Reason.GREYLISTED)},
    ]
    outcome = results[2][0]
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.reason) == (OutcomeStatus.NOT_FOUND, Reason.GREYLISTED)
    assert outcome.evidence.reply.reply_code == 451


def test_a_wait_that_the_server_states_is_kept() -> None:
    server = Greylist(mail_host("grace.hopper"), b"451 4.7.1 greylisted, please try again in 60 seconds")

    results, _ = passes(contacts("Grace Hopper"), server)

    assert results[0] == {0: Deferral(0, 65.0, Reason.GREYLISTED)}


def test_contacts_with_one_name_are_deferred_each_by_its_own_count() -> None:
    first, second = contacts("Grace Hopper", "GRACE HOPPER")

    results, _ = passes([first, second._replace(deferrals=2)], mail_host(replies={"RCPT": b"451 4.7.1 greylisted"}))

    assert results[0][0] == Deferral(0, 300.0, Reason.GREYLISTED)
    assert isinstance(results[0][1], Outcome)


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ({"": b"421 4.7.0 too many connections"}, Reason.RATE_LIMITED),
        ({"RCPT": b"421 4.7.0 try again later"}, Reason.RATE_LIMITED),
        ({"RCPT": b"450 4.7.1 rate limit exceeded"}, Reason.RATE_LIMITED),
        ({"MAIL": b"451 4.7.1 greylisted"}, Reason.GREYLISTED),
    ],
)
def test_a_limit_that_may_pass_defers_the_contacts(replies: dict[str, bytes | None], reason: Reason) -> None:
    results, _ = passes(contacts(*NAMES), mail_host(replies=replies), defer_seconds=(60.0,))

    assert results[0] == {position: Deferral(position, 60.0, reason) for position in range(7)}
    assert reasons(results[1]) == {reason}


@pytest.mark.parametrize(
    "reply",
    [
        b"550 5.7.1 rate limit exceeded",
        b"550 5.7.1 Client host blocked using dnsbl.test",
        b"550 5.3.0 something is wrong",
        b"450 4.1.1 user unknown",
    ],
)
def test_what_will_not_pass_is_not_deferred(reply: bytes) -> None:
    results, _ = passes(contacts("Grace Hopper"), mail_host(replies={"RCPT": reply}))

    assert len(results) == 1


def test_a_deferred_contact_waits_alone_while_colleagues_are_found() -> None:
    greylists_zoe = {"RCPT TO:<zoe.hopper@": b"451 4.7.1 greylisted"}

    results, _ = passes(contacts("Grace Hopper", "Zoe Hopper"), mail_host("grace.hopper", replies=greylists_zoe))

    assert isinstance(results[0][0], Outcome)
    assert results[0][1] == Deferral(1, 300.0, Reason.GREYLISTED)


def test_at_a_server_that_checks_recipients_before_it_greylists_refusals_count() -> None:
    people = mail_host("grace_hopper", "alan_turinger")
    greylist = Greylist(people)

    def checks_first(command: str) -> bytes | None:
        known = not command.startswith("RCPT") or (people(command) or b"").startswith(b"2")
        return greylist(command) if known else people(command)

    async def scenario() -> list[Outcome | Deferral]:
        people = contacts("Grace Hopper", "Alan Turinger", "Ada Lovell")
        async with world({ACME: checks_first}) as scripted:
            work = stage_named("email_lookup").stage.work
            results = [each async for each in work(Batch(people), scripted.network)]
            greylist.let_time_pass()
            again = [people[each.position]._replace(deferrals=1) for each in results if isinstance(each, Deferral)]
            return [*results, *[each async for each in work(Batch(again), scripted.network)]]

    found = {each.position: each.email for each in asyncio.run(scenario()) if isinstance(each, Outcome)}

    assert found == {0: "grace_hopper@acme.test", 1: "alan_turinger@acme.test", 2: None}


def test_an_acceptance_whose_random_probe_is_greylisted_is_probed_again() -> None:
    greylist = Greylist(mail_host("grace.hopper"), known={f"RCPT TO:<grace.hopper@{ACME}>"})

    results, _ = passes(contacts("Grace Hopper"), greylist)

    assert results[0] == {0: Deferral(0, 300.0, Reason.GREYLISTED)}
    assert reasons(results[1]) == {Reason.MAILBOX_EXISTS}
