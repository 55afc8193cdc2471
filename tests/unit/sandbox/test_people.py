from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.dialects import DIALECTS
from sandbox.domains import Behaviour, Domain, invent_domains
from sandbox.patterns import likely_local_parts
from sandbox.people import Person, invent_exactly, invent_people
from sandbox.recipients import FUNCTION_MAILBOXES, mailbox_states, recipient_reply
from sandbox.truth import Mailbox

seeds = st.integers(0, 10_000)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(0, 400), st.integers(40, 120))
def test_as_many_people_as_asked_for_and_no_two_share_an_address(seed: int, count: int, domain_count: int) -> None:
    people = invent_people(seed, count, invent_domains(seed, domain_count))
    addresses = [person.email for person in people if person.email]

    assert len(people) == count
    assert len(set(addresses)) == len(addresses)
    assert len({person.crm_id for person in people}) == count


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_no_likely_address_of_one_person_is_the_mailbox_of_another(seed: int) -> None:
    domains = invent_domains(seed)
    people = invent_people(seed, 1500, domains)
    mailboxes = mailbox_states(people, domains)

    for person in people:
        own = {person.email.rpartition("@")[0]} if person.email else set()
        guesses = likely_local_parts(person.first_name, person.last_name)
        assert guesses.intersection(mailboxes[person.domain]) == own
        assert guesses.isdisjoint(FUNCTION_MAILBOXES)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_truth_is_what_the_mail_server_says(seed: int) -> None:
    domains = invent_domains(seed)
    by_name = {domain.name: domain for domain in domains}
    people = invent_people(seed, 500, domains)
    mailboxes = mailbox_states(people, domains)

    for person in people:
        domain, dialect = by_name[person.domain], DIALECTS[by_name[person.domain].dialect]
        local_part = (person.email or "nobody@").rpartition("@")[0]
        reply = recipient_reply(domain, mailboxes[domain.name].get(local_part, Mailbox.NONE))
        match person.verdict, person.reason_not_found:
            case "valid", None:
                assert reply == dialect.recipient_ok
            case "risky", None:
                assert reply == dialect.mailbox_full
            case None, "mailbox_disabled":
                assert reply == dialect.mailbox_disabled
            case None, "every_candidate_refused":
                assert reply == dialect.no_such_mailbox
            case None, "catch_all":
                assert reply == dialect.recipient_ok
            case None, "blocked":
                assert reply == dialect.blocked
            case None, "no_mail_server" | "server_unreachable" | "no_such_domain" | "null_mx" | "dns_failure":
                assert not domain.living_hosts
            case impossible:
                pytest.fail(f"{impossible} at {domain.behaviour}")
        assert person.findable == (person.verdict is not None)


def test_people_with_a_mailbox_have_the_address_their_companys_pattern_makes() -> None:
    grocer = Domain("cedar-foods.test", "Cedar Foods", Behaviour.ORDINARY, "flast", ("mail.cedar-foods.test",), "exim")

    people = [person for person in invent_people(1, 100, [grocer]) if person.email]

    plain = [person for person in people if (person.first_name + person.last_name).isascii()]
    simple = [person for person in plain if person.last_name.isalpha()]
    assert len(simple) > 50
    for person in simple:
        assert person.email == f"{person.first_name[0]}{person.last_name}@cedar-foods.test".lower()


def test_the_same_seed_invents_the_same_people_and_another_seed_others(domains: Sequence[Domain]) -> None:
    assert invent_people(1, 100, domains) == invent_people(1, 100, domains)
    assert invent_people(1, 100, domains) != invent_people(2, 100, domains)


def test_some_domains_have_many_people_and_some_one(people: list[Person]) -> None:
    sizes = Counter(person.domain for person in people).values()

    assert max(sizes) > 60
    assert min(sizes) == 1


def test_most_people_can_be_found_and_every_reason_occurs(people: list[Person]) -> None:
    found = sum(person.findable for person in people)

    assert 0.7 < found / len(people) < 0.85
    assert {person.reason_not_found for person in people} == {
        None,
        "blocked",
        "catch_all",
        "dns_failure",
        "every_candidate_refused",
        "mailbox_disabled",
        "no_mail_server",
        "no_such_domain",
        "null_mx",
        "server_unreachable",
    }


def test_some_names_have_accents_particles_hyphens_and_apostrophes(people: list[Person]) -> None:
    names = [f"{person.first_name} {person.last_name}" for person in people]

    assert any(not name.isascii() for name in names)
    assert any(" van der " in name for name in names)
    assert any("-" in name for name in names)
    assert any("'" in name for name in names)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(0, 90), st.integers(0, 30), st.integers(0, 30))
def test_precisely_so_many_people_can_be_found_as_asked_for(
    seed: int, valid: int, found_unverified: int, unfindable: int
) -> None:
    people = invent_exactly(
        seed,
        valid=valid,
        found_unverified=found_unverified,
        unfindable=unfindable,
        domains=invent_domains(seed),
    )

    assert sum(person.verdict == "valid" for person in people) == valid
    assert sum(person.findable and person.verdict != "valid" for person in people) == found_unverified
    assert sum(not person.findable for person in people) == unfindable


def test_exact_people_work_where_the_answer_comes_at_once(domains: Sequence[Domain]) -> None:
    behaviours = {domain.name: domain.behaviour for domain in domains}

    people = invent_exactly(1, valid=780, found_unverified=170, unfindable=50, domains=domains)

    assert {behaviours[person.domain] for person in people}.isdisjoint(
        {Behaviour.SLOW, Behaviour.GREYLISTING, Behaviour.NOTHING_LISTENS, Behaviour.DNS_SERVFAIL}
    )


def test_people_without_a_domain_to_work_at_are_an_error(domain_with: Callable[[Behaviour], Domain]) -> None:
    slow = [domain_with(Behaviour.SLOW)]

    with pytest.raises(ValueError, match="no domain for 2 people"):
        invent_people(1, 2, [])
    with pytest.raises(ValueError, match="no domain for 3 people"):
        invent_exactly(1, valid=3, found_unverified=0, unfindable=0, domains=slow)


def test_too_many_people_for_the_domains_is_an_error() -> None:
    bakery = Domain("oak-bakery.test", "Oak Bakery", Behaviour.ORDINARY, "first", ("mail.oak-bakery.test",), "exim")

    with pytest.raises(ValueError, match="room for 20 people, not for 21"):
        invent_people(1, 21, [bakery])


def test_people_who_exceed_the_room_of_one_domain_work_at_another() -> None:
    bakery = Domain("oak-bakery.test", "Oak Bakery", Behaviour.ORDINARY, "first", ("mail.oak-bakery.test",), "exim")
    works = Domain("oak-works.test", "Oak Works", Behaviour.ORDINARY, "first.last", ("mail.oak-works.test",), "exim")

    sizes = Counter(person.domain for person in invent_people(1, 500, [bakery, works]))

    assert sizes == {"oak-bakery.test": 20, "oak-works.test": 480}
