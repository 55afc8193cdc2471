import pytest

from sandbox.dialects import DIALECTS
from sandbox.domains import Behaviour, invent_domains
from sandbox.patterns import PATTERN_WEIGHTS


def test_sixty_domains_have_every_behaviour_and_are_mostly_ordinary() -> None:
    behaviours = [domain.behaviour for domain in invent_domains(seed=1)]

    assert set(behaviours) == set(Behaviour)
    assert behaviours.count(Behaviour.ORDINARY) > len(behaviours) / 2


def test_the_same_seed_invents_the_same_domains_and_another_seed_others() -> None:
    assert invent_domains(seed=1) == invent_domains(seed=1)
    assert invent_domains(seed=1) != invent_domains(seed=2)


def test_domains_have_reserved_names() -> None:
    domains = invent_domains(seed=1, count=500)

    assert len({domain.name for domain in domains}) == 500
    assert {domain.name.rpartition(".")[2] for domain in domains} == {"test", "example"}


def test_every_domain_has_a_known_pattern_and_dialect() -> None:
    domains = invent_domains(seed=1, count=500)

    assert {domain.pattern for domain in domains} == set(PATTERN_WEIGHTS)
    assert {domain.dialect for domain in domains} == set(DIALECTS)


def test_some_mail_hosts_serve_several_domains_and_speak_one_dialect() -> None:
    domains = invent_domains(seed=1)
    shared = {host for host in domains[0].mail_hosts if "-mail.example" in host}
    neighbours = [domain for domain in domains if shared.intersection(domain.mail_hosts)]

    assert len(neighbours) > 1
    assert len({domain.dialect for domain in neighbours}) == 1


def test_more_domains_than_there_are_names_is_an_error() -> None:
    with pytest.raises(ValueError, match="larger than population"):
        invent_domains(seed=1, count=2241)
