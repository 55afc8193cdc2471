"""Whose an address is that several contacts may own."""

import asyncio

from pipeline.outcomes import Deferral, Outcome, Reason
from pipeline.records import Batch, PatternCount
from pipeline.stages import stage_named
from tests.unit.lookup.looking_up import ACME, contacts, look_up, summary
from tests.unit.mail.scripted_servers import mail_host, world

BY_INITIAL = {ACME: [PatternCount("flast", 10)]}


def test_it_is_whoevers_whose_namesake_is_found_elsewhere() -> None:
    server = mail_host("jhopper", "john.hopper")

    outcomes, _ = look_up(contacts("Jane Hopper", "John Hopper"), {ACME: server}, BY_INITIAL)

    assert summary(outcomes) == [
        ("jhopper@acme.test", Reason.MAILBOX_EXISTS),
        ("john.hopper@acme.test", Reason.MAILBOX_EXISTS),
    ]


def test_it_is_nobodys_as_long_as_it_may_be_eithers() -> None:
    outcomes, _ = look_up(contacts("Jane Hopper", "John Hopper"), {ACME: mail_host("jhopper")}, BY_INITIAL)

    assert summary(outcomes) == [(None, Reason.NAMESAKES)] * 2


def test_namesakes_far_apart_in_the_list_are_weighed_too() -> None:
    between = [f"Person{chr(97 + n // 26)}{chr(97 + n % 26)} Family{chr(97 + n % 26)}" for n in range(40)]
    people = contacts("Jane Hopper", *between, "John Hopper")
    mailboxes = [f"{name[0]}{name.split()[1]}".lower() for name in between]

    outcomes, _ = look_up(people, {ACME: mail_host("jhopper", *mailboxes)}, BY_INITIAL)

    assert outcomes[0].reason is outcomes[41].reason is Reason.NAMESAKES


def test_who_has_a_name_of_their_own_is_found_beside_namesakes() -> None:
    server = mail_host("jhopper", "ahopper")

    outcomes, _ = look_up(contacts("Jane Hopper", "John Hopper", "Ada Hopper"), {ACME: server}, BY_INITIAL)

    assert outcomes[2].email == "ahopper@acme.test"


def test_a_name_that_fits_only_by_a_rare_pattern_takes_nothing_from_whom_it_fits_by_the_usual_one() -> None:
    known = {ACME: [PatternCount("first.last", 10)]}
    server = mail_host("grace.hopper", "hopper.grace")

    outcomes, _ = look_up(contacts("Grace Hopper", "Hopper Gracen"), {ACME: server}, known)

    assert outcomes[0].email == "grace.hopper@acme.test"


def test_an_address_that_another_chunk_has_given_away_is_not_given_again() -> None:
    async def scenario() -> list[Outcome | Deferral]:
        async with world({ACME: mail_host("jhopper", "john.hopper")}) as scripted:
            batch = Batch(contacts("John Hopper"), BY_INITIAL, taken={"jhopper@acme.test", "john.hopper@other.test"})
            return [each async for each in stage_named("email_lookup").stage.work(batch, scripted.network)]

    (said,) = asyncio.run(scenario())

    assert isinstance(said, Outcome)
    assert said.email == "john.hopper@acme.test"
