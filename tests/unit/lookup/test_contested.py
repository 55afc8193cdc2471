"""Which contact gets an address that several contacts may own."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace
from string import ascii_lowercase

from pipeline.contacts import Batch, PatternCount
from pipeline.lookup.providers.waterfall import NO_SOURCES, Waterfall
from pipeline.outcomes import Deferral, Outcome, Reason
from pipeline.stages import stage_named
from pipeline.stages.fallback import person_of
from tests.unit.lookup.looking_up import ACME, contacts, look_up, summary
from tests.unit.mail.servers.scripted_servers import Reply, Seen, mail_host, world

BY_INITIAL = {ACME: [PatternCount("flast", 10)]}


@dataclass(frozen=True)
class Listed:
    """A suppression list."""

    hashes: Collection[bytes]

    async def among(self, digests: Collection[bytes]) -> Collection[bytes]:
        return [digest for digest in digests if digest in self.hashes]


def test_it_belongs_to_the_one_whose_namesake_is_found_elsewhere() -> None:
    server = mail_host("jhopper", "john.hopper")

    outcomes, _ = look_up(contacts("Jane Hopper", "John Hopper"), {ACME: server}, BY_INITIAL)

    assert summary(outcomes) == [
        ("jhopper@acme.test", Reason.MAILBOX_EXISTS),
        ("john.hopper@acme.test", Reason.MAILBOX_EXISTS),
    ]


def test_contenders_for_an_address_found_before_the_pattern_was_known_are_probed_by_other_patterns() -> None:
    # Names with several spellings: the search does not begin with them.
    others = [f"Person{letter} van der Family{letter}" for letter in ascii_lowercase[:18]]
    mailboxes = ["anoukh", *(f"person{letter}v" for letter in ascii_lowercase[:18]), "anouk.hofstra"]

    outcomes, _ = look_up(contacts("Anouk Hofkamp", *others, "Anouk Hofstra"), {ACME: mail_host(*mailboxes)})

    assert [outcomes[position].email for position in range(20)] == [f"{each}@{ACME}" for each in mailboxes]


def test_namesakes_are_distinguished_by_the_patterns_that_the_domain_shows() -> None:
    known = {ACME: [PatternCount("first.l", 10), PatternCount("first", 5)]}

    outcomes, _ = look_up(contacts("Anna Bergmann", "Anna Castell"), {ACME: mail_host("anna", "anna.c")}, known)

    assert [email for email, _ in summary(outcomes)] == ["anna@acme.test", "anna.c@acme.test"]


def test_it_is_assigned_to_neither_while_either_may_own_it() -> None:
    outcomes, _ = look_up(contacts("Jane Hopper", "John Hopper"), {ACME: mail_host("jhopper")}, BY_INITIAL)

    assert summary(outcomes) == [(None, Reason.NAMESAKES)] * 2


def test_namesakes_far_apart_in_the_list_are_weighed_too() -> None:
    between = [f"Person{chr(97 + n // 26)}{chr(97 + n % 26)} Family{chr(97 + n % 26)}" for n in range(40)]
    people = contacts("Jane Hopper", *between, "John Hopper")
    mailboxes = [f"{name[0]}{name.split()[1]}".lower() for name in between]

    outcomes, _ = look_up(people, {ACME: mail_host("jhopper", *mailboxes)}, BY_INITIAL)

    assert outcomes[0].reason is outcomes[41].reason is Reason.NAMESAKES


def test_a_person_with_a_unique_name_is_found_besides_namesakes() -> None:
    server = mail_host("jhopper", "ahopper")

    outcomes, _ = look_up(contacts("Jane Hopper", "John Hopper", "Ada Hopper"), {ACME: server}, BY_INITIAL)

    assert outcomes[2].email == "ahopper@acme.test"


def test_a_contender_by_a_rare_pattern_takes_nothing_from_the_one_by_the_usual_pattern() -> None:
    known = {ACME: [PatternCount("first.last", 10)]}
    server = mail_host("grace.hopper", "hopper.grace")

    outcomes, _ = look_up(contacts("Grace Hopper", "Hopper Gracen"), {ACME: server}, known)

    assert outcomes[0].email == "grace.hopper@acme.test"


def work(server: Reply, batch: Batch, sources: Waterfall = NO_SOURCES) -> tuple[list[Outcome | Deferral], Seen]:
    async def scenario() -> tuple[list[Outcome | Deferral], Seen]:
        async with world({ACME: server}, defer_seconds=()) as scripted:
            answers = stage_named("email_lookup").stage.work(batch, scripted.network, sources)
            return [each async for each in answers], scripted.seen[ACME]

    return asyncio.run(scenario())


def only_outcome(results: list[Outcome | Deferral]) -> Outcome:
    (outcome,) = results
    assert isinstance(outcome, Outcome)
    return outcome


def test_an_address_that_another_chunk_has_assigned_is_not_assigned_again() -> None:
    batch = Batch(contacts("John Hopper"), BY_INITIAL, taken={"jhopper@acme.test", "john.hopper@other.test"})

    results, _ = work(mail_host("jhopper", "john.hopper"), batch)

    assert only_outcome(results).email == "john.hopper@acme.test"


def test_it_is_not_assigned_while_it_may_belong_to_somebody_in_another_chunk() -> None:
    batch = Batch(contacts("John Hopper"), BY_INITIAL, colleagues=contacts("Jane Hopper", "Ada Birch"))

    results, seen = work(mail_host("jhopper"), batch)

    assert only_outcome(results).reason is Reason.NAMESAKES
    assert not any("birch" in question for question in seen.verbs("RCPT"))


def test_it_belongs_to_the_one_whose_namesake_in_another_chunk_has_another_one() -> None:
    batch = Batch(contacts("John Hopper"), BY_INITIAL, colleagues=contacts("Jane Hopper"))

    results, _ = work(mail_host("jhopper", "jane.hopper"), batch)

    assert only_outcome(results).email == "jhopper@acme.test"


def test_a_namesake_on_the_suppression_list_is_not_probed() -> None:
    jane = contacts("Jane Hopper")[0]._replace(position=1)
    listed = Listed(frozenset([person_of(jane, ACME).digest]))
    batch = Batch(contacts("John Hopper"), BY_INITIAL, colleagues=[jane])

    results, seen = work(mail_host("jhopper", "jane.hopper"), batch, replace(NO_SOURCES, suppression_list=listed))

    assert only_outcome(results).reason is Reason.NAMESAKES
    assert "RCPT TO:<jane.hopper@acme.test>" not in seen.verbs("RCPT")
