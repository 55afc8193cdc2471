"""People whom an earlier run looked up."""

import asyncio
from dataclasses import replace

from pipeline.contacts import Batch, Contact, KnownPerson
from pipeline.lookup.names.parse import parse_name
from pipeline.lookup.search.recall import person_digest
from pipeline.memory.lookups import known_person
from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from pipeline.stages import stage_named
from tests.unit.lookup.looking_up import ACME, contacts, look_up
from tests.unit.mail.servers.scripted_servers import Reply, Seen, mail_host, world


def learned(contacts: list[Contact], server: Reply) -> dict[bytes, KnownPerson]:
    """What a first run leaves."""
    outcomes, _ = look_up(contacts, {ACME: server})
    return dict(filter(None, map(known_person, outcomes.values())))


def again(contacts: list[Contact], known: dict[bytes, KnownPerson], server: Reply) -> tuple[dict[int, Outcome], Seen]:
    async def scenario() -> tuple[dict[int, Outcome], Seen]:
        async with world({ACME: server}, defer_seconds=()) as scripted:
            work = stage_named("email_lookup").stage.work(Batch(contacts, known_people=known), scripted.network)
            results = [each async for each in work]
            return {each.position: each for each in results if isinstance(each, Outcome)}, scripted.seen[ACME]

    return asyncio.run(scenario())


def test_a_person_whom_an_earlier_run_found_is_found_without_a_probe() -> None:
    people, server = contacts("Grace Hopper", "Alan Turinger"), mail_host("ghopper")
    known = learned(people, server)

    outcomes, seen = again(people, known, server)

    assert (outcomes[0].email, outcomes[0].source) == ("ghopper@acme.test", "known")
    assert (outcomes[1].status, outcomes[1].reason) == (OutcomeStatus.NOT_FOUND, Reason.EVERY_CANDIDATE_REFUSED)
    assert seen.sessions == 0


def test_a_known_address_is_not_given_to_a_colleague() -> None:
    server = mail_host("hopper")
    known = learned(contacts("Grace Hopper"), server)

    outcomes, _ = again(contacts("Grace Hopper", "Zoe Hopper"), known, server)

    assert [outcomes[0].email, outcomes[1].email] == ["hopper@acme.test", None]


def test_an_address_that_is_none_of_the_candidates_any_more_is_looked_up_anew() -> None:
    people, server = contacts("Grace Hopper"), mail_host("ghopper")
    strange = {person: replace(known, mailbox=bytes(32)) for person, known in learned(people, server).items()}

    outcomes, seen = again(people, strange, server)

    assert (outcomes[0].email, outcomes[0].source) == ("ghopper@acme.test", "permutation")
    assert seen.sessions == 1


def test_a_recalled_person_is_not_remembered_again() -> None:
    people, server = contacts("Grace Hopper"), mail_host("ghopper")

    outcomes, _ = again(people, learned(people, server), server)

    assert known_person(outcomes[0]) is None


def test_an_inconclusive_look_up_is_not_remembered() -> None:
    assert learned(contacts("Grace Hopper"), mail_host(unknown=b"250 2.1.5 Ok")) == {}
    assert learned(contacts("Grace Hopper"), mail_host(replies={"RCPT": b"550 5.7.1 refused by policy"})) == {}


def test_a_digest_distinguishes_people_and_domains() -> None:
    grace, zoe = parse_name(full_name="Grace Hopper"), parse_name(full_name="Zoe Hopper")
    assert grace is not None
    assert zoe is not None

    digests = {person_digest(domain, name) for domain in ("acme.test", "other.test") for name in (grace, zoe)}

    assert len(digests) == 4
    assert person_digest("acme.test", grace) == person_digest("acme.test", grace)
