"""The look-up at servers that ask strangers to come back later."""

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

    Each time it is done in a network without memory, and with what the outcomes until then teach, as a chunk loads it.
    """
    said: list[dict[int, Outcome | Deferral]] = []
    seen: list[Seen] = []

    async def one_pass() -> None:
        async with world({ACME: server}, defer_seconds=defer_seconds) as scripted:
            work = stage_named("email_lookup").stage.work(Batch(left, taught_by(said)), scripted.network)
            said.append({each.position: each async for each in work})
            seen.append(scripted.seen[ACME])

    left = list(contacts)
    while left:
        asyncio.run(one_pass())
        assert sorted(said[-1]) == sorted(contact.position for contact in left)
        left = [
            contact._replace(deferrals=contact.deferrals + 1)
            for contact in left
            if isinstance(said[-1][contact.position], Deferral)
        ]
        if isinstance(server, Greylist):
            server.let_time_pass()
    return said, seen


def reasons(said: dict[int, Outcome | Deferral]) -> set[Reason]:
    return {each.reason for each in said.values()}


@pytest.mark.parametrize("pattern", ["{0}.{1}", "{1}_{0}", "{1}.{2}"], ids=["common", "rare", "rarest"])
def test_everybody_is_found_when_we_come_back_whatever_the_pattern(pattern: str) -> None:
    mailboxes = [pattern.format(*name.lower().split(), name[0].lower()) for name in NAMES]

    said, _ = passes(contacts(*NAMES), Greylist(mail_host(*mailboxes)))

    assert [sorted(type(each).__name__ for each in one.values()) for one in said] == [["Deferral"] * 7, ["Outcome"] * 7]
    found = [said[1][position] for position in range(7)]
    assert [each.email for each in found if isinstance(each, Outcome)] == [f"{each}@{ACME}" for each in mailboxes]
    assert all(each.evidence.catch_all is False for each in found if isinstance(each, Outcome))


def test_it_is_known_of_everybody_else_that_they_have_no_mailbox() -> None:
    said, _ = passes(contacts(*NAMES), Greylist(mail_host("grace.hopper")))

    assert len(said) == 2
    assert sorted(each.reason for each in said[1].values()) == [Reason.EVERY_CANDIDATE_REFUSED] * 6 + [
        Reason.MAILBOX_EXISTS
    ]


def test_names_of_many_spellings_are_found_in_the_third_pass_at_the_latest() -> None:
    names = ["María José García López", "Jean-Luc van den Berg", "Grace Hopper"]
    server = Greylist(mail_host("mj.garcia.lopez", "jl_vandenberg", "jlvandenberg", "ghopper", "mgarcialopez"))

    said, _ = passes(contacts(*names), server)

    assert len(said) <= 3
    assert not any(each.reason is Reason.GREYLISTED for each in said[-1].values())
    final = {position: each for one in said for position, each in one.items()}
    assert isinstance(final[2], Outcome)
    assert final[2].email == f"ghopper@{ACME}"


def test_a_catch_all_behind_a_greylist_is_recognised() -> None:
    said, _ = passes(contacts(*NAMES), Greylist(mail_host(unknown=b"250 2.1.5 Ok")))

    assert [reasons(one) for one in said] == [{Reason.GREYLISTED}, {Reason.CATCH_ALL}]


def test_a_fresh_process_asks_the_same_questions() -> None:
    _, seen = passes(contacts(*NAMES), mail_host(replies={"RCPT": b"451 4.7.1 greylisted"}))

    assert len(seen) == 3
    assert seen[0].commands == seen[1].commands


def test_no_question_is_asked_twice_in_a_pass() -> None:
    _, seen = passes(contacts(*NAMES), Greylist(mail_host()))

    asked = seen[0].verbs("RCPT")
    assert len(asked) == len(set(asked))


def test_large_domains_are_asked_about_everybody() -> None:
    names = [f"Person{chr(97 + n // 26)} Family{chr(97 + n % 26)}" for n in range(60)]
    mailboxes = [name.lower().replace(" ", "-") for name in names]

    said, _ = passes(contacts(*names), Greylist(mail_host(*mailboxes)))

    final = {position: each for one in said for position, each in one.items()}
    assert len(said) <= 3
    assert reasons(final) == {Reason.MAILBOX_EXISTS}


def test_at_a_large_domain_of_two_patterns_everybody_is_found_at_the_fourth_visit() -> None:
    names = [f"Grace Family{letter}" for letter in ascii_lowercase]
    mailboxes = [f"grace.family{letter}" if letter > "h" else f"gfamily{letter}" for letter in ascii_lowercase]

    said, _ = passes(contacts(*names), Greylist(mail_host(*mailboxes)))

    final = {position: each for one in said for position, each in one.items()}
    assert len(said) == 4
    assert {each.seconds for each in said[2].values() if isinstance(each, Deferral)} == {900.0}
    assert reasons(final) == {Reason.MAILBOX_EXISTS}


@pytest.mark.parametrize("spelled", ["garcia", "garcialopez"])
def test_who_is_put_off_among_others_is_asked_about_so_that_the_last_visit_finds_them(spelled: str) -> None:
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


def test_whose_likeliest_address_is_let_pass_for_a_colleague_meanwhile_is_not_asked_about_it_again() -> None:
    names = ["Tuan Bradfordson", *NAMES[:3], "Tuan Whitfieldson"]
    people = mail_host("tuan", *[name.lower().split()[0] for name in NAMES])
    put_off: list[str] = []

    def greylists_the_first(command: str) -> bytes | None:
        if command.startswith("RCPT TO:<tuan@") and not put_off:
            put_off.append(command)
            return b"451 4.7.1 greylisted"
        return people(command)

    async def visit() -> dict[int, Outcome | Deferral]:
        known = {ACME: [PatternCount("first", 1.0)]}
        async with world({ACME: greylists_the_first}, defer_seconds=(300.0, 900.0)) as scripted:
            work = stage_named("email_lookup").stage.work(Batch(contacts(*names), known), scripted.network)
            return {each.position: each async for each in work}

    said = asyncio.run(visit())

    assert put_off
    assert [said[position].reason for position in (0, 4)] == [Reason.NAMESAKES, Reason.NAMESAKES]
    assert [said[position].reason for position in (1, 2, 3)] == [Reason.MAILBOX_EXISTS] * 3


def test_without_patience_there_is_no_visit_more_either() -> None:
    mailboxes = [name.lower().replace(" ", ".") for name in NAMES]
    puts_one_off = {f"RCPT TO:<{mailboxes[-1]}@": b"451 4.7.1 greylisted"}

    (said,), _ = passes(contacts(*NAMES), mail_host(*mailboxes, replies=puts_one_off), ())

    assert said[len(NAMES) - 1].reason is Reason.GREYLISTED
    assert reasons(said) == {Reason.MAILBOX_EXISTS, Reason.GREYLISTED}


def test_a_greylisting_server_is_not_asked_about_all_that_its_people_might_have() -> None:
    names = [f"Person{chr(97 + n // 26)} Family{chr(97 + n % 26)}" for n in range(60)]
    mailboxes = [name.lower().replace(" ", "") for name in names]

    _, seen = passes(contacts(*names), Greylist(mail_host(*mailboxes)))

    assert sum(len(one.verbs("RCPT")) for one in seen) < 4 * 60


def test_at_a_server_that_greylists_clients_all_are_found_at_the_second_visit() -> None:
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


def test_the_first_visit_asks_about_few_of_many_people() -> None:
    names = [f"Person{chr(97 + n // 26)} Family{chr(97 + n % 26)}" for n in range(60)]

    _, seen = passes(contacts(*names), Greylist(mail_host()))

    assert len(seen[0].verbs("RCPT")) < 60


# How long, how often, and why


def test_each_deferral_has_its_wait_and_after_the_last_one_there_is_an_outcome() -> None:
    said, _ = passes(contacts("Grace Hopper"), mail_host(replies={"RCPT": b"451 4.7.1 greylisted"}))

    assert said[:2] == [
        {0: Deferral(0, 300.0, Reason.GREYLISTED)},
        {0: Deferral(0, 900.0, Reason.GREYLISTED)},
    ]
    outcome = said[2][0]
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.reason) == (OutcomeStatus.NOT_FOUND, Reason.GREYLISTED)
    assert outcome.evidence.reply.reply_code == 451


def test_a_wait_that_the_server_names_is_kept() -> None:
    server = Greylist(mail_host("grace.hopper"), b"451 4.7.1 greylisted, please try again in 60 seconds")

    said, _ = passes(contacts("Grace Hopper"), server)

    assert said[0] == {0: Deferral(0, 65.0, Reason.GREYLISTED)}


def test_contacts_of_one_name_are_deferred_each_by_its_own_count() -> None:
    first, second = contacts("Grace Hopper", "GRACE HOPPER")

    said, _ = passes([first, second._replace(deferrals=2)], mail_host(replies={"RCPT": b"451 4.7.1 greylisted"}))

    assert said[0][0] == Deferral(0, 300.0, Reason.GREYLISTED)
    assert isinstance(said[0][1], Outcome)


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ({"": b"421 4.7.0 too many connections"}, Reason.RATE_LIMITED),
        ({"RCPT": b"421 4.7.0 try again later"}, Reason.RATE_LIMITED),
        ({"RCPT": b"450 4.7.1 rate limit exceeded"}, Reason.RATE_LIMITED),
        ({"MAIL": b"451 4.7.1 greylisted"}, Reason.GREYLISTED),
    ],
)
def test_a_limit_that_passes_is_waited_for(replies: dict[str, bytes | None], reason: Reason) -> None:
    said, _ = passes(contacts(*NAMES), mail_host(replies=replies), defer_seconds=(60.0,))

    assert said[0] == {position: Deferral(position, 60.0, reason) for position in range(7)}
    assert reasons(said[1]) == {reason}


@pytest.mark.parametrize(
    "reply",
    [
        b"550 5.7.1 rate limit exceeded",
        b"550 5.7.1 Client host blocked using dnsbl.test",
        b"550 5.3.0 something is wrong",
        b"450 4.1.1 user unknown",
    ],
)
def test_what_will_not_pass_is_not_waited_for(reply: bytes) -> None:
    said, _ = passes(contacts("Grace Hopper"), mail_host(replies={"RCPT": reply}))

    assert len(said) == 1


def test_who_is_put_off_waits_alone_while_colleagues_are_found() -> None:
    put_off = {"RCPT TO:<zoe.hopper@": b"451 4.7.1 greylisted"}

    said, _ = passes(contacts("Grace Hopper", "Zoe Hopper"), mail_host("grace.hopper", replies=put_off))

    assert isinstance(said[0][0], Outcome)
    assert said[0][1] == Deferral(1, 300.0, Reason.GREYLISTED)


def test_a_server_that_checks_recipients_before_it_greylists_is_understood() -> None:
    people = mail_host("grace_hopper", "alan_turinger")
    greylist = Greylist(people)

    def checks_first(command: str) -> bytes | None:
        known = not command.startswith("RCPT") or (people(command) or b"").startswith(b"2")
        return greylist(command) if known else people(command)

    async def scenario() -> list[Outcome | Deferral]:
        people = contacts("Grace Hopper", "Alan Turinger", "Ada Lovell")
        async with world({ACME: checks_first}) as scripted:
            work = stage_named("email_lookup").stage.work
            said = [each async for each in work(Batch(people), scripted.network)]
            greylist.let_time_pass()
            again = [people[each.position]._replace(deferrals=1) for each in said if isinstance(each, Deferral)]
            return [*said, *[each async for each in work(Batch(again), scripted.network)]]

    found = {each.position: each.email for each in asyncio.run(scenario()) if isinstance(each, Outcome)}

    assert found == {0: "grace_hopper@acme.test", 1: "alan_turinger@acme.test", 2: None}


def test_a_yes_whose_worth_the_server_puts_off_is_asked_again() -> None:
    greylist = Greylist(mail_host("grace.hopper"), known={f"RCPT TO:<grace.hopper@{ACME}>"})

    said, _ = passes(contacts("Grace Hopper"), greylist)

    assert said[0] == {0: Deferral(0, 300.0, Reason.GREYLISTED)}
    assert reasons(said[1]) == {Reason.MAILBOX_EXISTS}
