"""Acceptances that prove nothing, and addresses that two people may have."""

import pytest

from pipeline.contacts import Contact, PatternCount
from pipeline.outcomes import OutcomeStatus, Reason
from tests.unit.lookup.looking_up import ACME, contacts, look_up, summary
from tests.unit.mail.servers.scripted_servers import mail_host

EVERYBODY = mail_host(unknown=b"250 2.1.5 Ok")


def test_at_a_catch_all_domain_no_address_is_found_and_few_probes_are_sent() -> None:
    people = contacts(*(f"Person{letter} Family{letter}" for letter in "abcdefghijkl"))

    outcomes, seen = look_up(people, {ACME: EVERYBODY})

    assert summary(outcomes) == [(None, Reason.CATCH_ALL)] * 12
    assert len(seen[ACME].verbs("RCPT")) <= 6


def test_at_a_catch_all_domain_addresses_are_inferred_from_a_well_confirmed_pattern() -> None:
    known = {ACME: [PatternCount("flast", 4)]}

    outcomes, _ = look_up(contacts("Grace Hopper", "Alan Turinger"), {ACME: EVERYBODY}, known)

    assert [email for email, _ in summary(outcomes)] == ["ghopper@acme.test", "aturinger@acme.test"]
    assert {(found.status, found.reason, found.source) for found in outcomes.values()} == {
        (OutcomeStatus.FOUND, Reason.CATCH_ALL, "inferred")
    }
    assert all(found.evidence.catch_all is True for found in outcomes.values())
    assert all(40 <= found.score <= 70 for found in outcomes.values())
    assert all(0.4 <= found.evidence.confidence <= 1 for found in outcomes.values())


def test_at_a_catch_all_domain_nothing_is_inferred_from_a_name_with_many_spellings() -> None:
    known = {ACME: [PatternCount("first.last", 4)]}

    outcomes, _ = look_up(contacts("Jean-Luc Müller-Köhler"), {ACME: EVERYBODY}, known)

    assert summary(outcomes) == [(None, Reason.CATCH_ALL)]


@pytest.mark.parametrize("known", [[PatternCount("flast", 2)], [PatternCount("flast", 3), PatternCount("first", 3)]])
def test_at_a_catch_all_domain_nothing_is_inferred_from_a_weak_pattern(known: list[PatternCount]) -> None:
    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: EVERYBODY}, {ACME: known})

    assert summary(outcomes) == [(None, Reason.CATCH_ALL)]


def test_an_acceptance_proves_nothing_until_the_server_was_seen_to_refuse() -> None:
    unclear = mail_host("grace.hopper", unknown=b"451 4.7.1 greylisted")

    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: unclear})

    assert outcomes[0].status is OutcomeStatus.NOT_FOUND


def test_a_refusal_shows_what_an_unclear_probe_did_not() -> None:
    def reply(command: str) -> bytes | None:
        if command.startswith("RCPT") and "hopper" not in command:
            return b"451 4.7.1 greylisted"
        return mail_host("ghopper")(command)

    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: reply})

    assert summary(outcomes) == [("ghopper@acme.test", Reason.MAILBOX_EXISTS)]
    assert outcomes[0].evidence.catch_all is False


def test_a_refusal_in_the_same_round_shows_it_too() -> None:
    def reply(command: str) -> bytes | None:
        if command.startswith("RCPT") and "hopper" not in command:
            return b"451 4.7.1 greylisted"
        return mail_host("ghopper")(command)

    known = {ACME: [PatternCount("flast", 10)]}

    outcomes, _ = look_up(contacts("Grace Hopper", "Zoe Hopper"), {ACME: reply}, known)

    assert outcomes[0].email == "ghopper@acme.test"


def test_a_deferred_person_is_not_probed_again_while_others_are_found() -> None:
    known = {ACME: [PatternCount("flast", 10)]}
    greylists_zoe = {"RCPT TO:<zhopper@": b"451 4.7.1 greylisted"}

    outcomes, seen = look_up(
        contacts("Grace Hopper", "Zoe Hopper"), {ACME: mail_host("ghopper", replies=greylists_zoe)}, known
    )

    assert summary(outcomes) == [("ghopper@acme.test", Reason.MAILBOX_EXISTS), (None, Reason.GREYLISTED)]
    assert len(seen[ACME].verbs("RCPT")) == 3, "one for each, and a random one"


# Namesakes


def test_contacts_with_one_name_are_one_person() -> None:
    outcomes, seen = look_up(contacts("Grace Hopper", "GRACE HOPPER"), {ACME: mail_host("grace.hopper")})

    assert [email for email, _ in summary(outcomes)] == ["grace.hopper@acme.test"] * 2
    assert seen[ACME].verbs("RCPT").count("RCPT TO:<grace.hopper@acme.test>") == 1


def test_an_address_that_two_people_may_own_is_given_to_neither() -> None:
    known = {ACME: [PatternCount("flast", 10)]}

    outcomes, _ = look_up(contacts("Jane Hopper", "John Hopper"), {ACME: mail_host("jhopper")}, known)

    assert summary(outcomes) == [(None, Reason.NAMESAKES)] * 2


def test_namesakes_with_an_address_each_both_get_theirs() -> None:
    known = {ACME: [PatternCount("flast", 10)]}

    outcomes, _ = look_up(contacts("Jane Hopper", "John Hopper"), {ACME: mail_host("jhopper", "john.hopper")}, known)

    assert {email for email, _ in summary(outcomes)} == {"jhopper@acme.test", "john.hopper@acme.test"}


def test_an_address_that_a_contact_supplied_is_not_given_to_a_colleague() -> None:
    contacts = [
        Contact(0, full_name="Jane Hopper", email="jhopper@acme.test"),
        Contact(1, full_name="John Hopper", domain=ACME),
    ]

    outcomes, _ = look_up(contacts, {ACME: mail_host("jhopper", "johnh")})

    assert summary(outcomes) == [("jhopper@acme.test", Reason.INPUT), ("johnh@acme.test", Reason.MAILBOX_EXISTS)]
