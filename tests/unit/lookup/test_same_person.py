"""The same words in other fields, with titles and degrees, at one domain are one person, who is looked up once."""

import pytest

from pipeline.contacts import Contact
from pipeline.lookup.names.parse import parse_name
from pipeline.lookup.names.same_person import same_contact, same_words
from tests.unit.lookup.looking_up import look_up, summary
from tests.unit.mail.servers.scripted_servers import mail_host

GRACE = mail_host("grace.hopper")
SPELLINGS = [
    {"first_name": "Grace", "last_name": "Hopper"},
    {"first_name": "Hopper", "last_name": "Grace"},
    {"first_name": "Dr. Grace", "last_name": "Hopper, PhD"},
    {"full_name": "Hopper, Grace"},
    {"full_name": "Prof. Dr. Grace Hopper MBA"},
    {"first_name": "GRACE", "last_name": "hopper"},
]


def people(*spellings: dict[str, str], domain: str = "acme.test") -> list[Contact]:
    return [Contact(number, domain=domain, **spelling) for number, spelling in enumerate(spellings)]


@pytest.mark.parametrize("order", [1, -1], ids=["right first", "right last"])
def test_all_spellings_of_a_person_get_the_address_and_cost_one_search(order: int) -> None:
    alone, cost_alone = look_up(people(SPELLINGS[0]), {"acme.test": GRACE})

    outcomes, seen = look_up(people(*SPELLINGS[::order]), {"acme.test": GRACE})

    assert [email for email, _ in summary(alone)] == ["grace.hopper@acme.test"]
    assert [email for email, _ in summary(outcomes)] == ["grace.hopper@acme.test"] * len(SPELLINGS)
    assert seen["acme.test"].sessions == cost_alone["acme.test"].sessions


def test_a_swapped_row_beside_a_colleague_with_a_similar_name_does_not_cost_anybody_the_address() -> None:
    server = mail_host("grace.hopper", "anna.hopper")
    rows = [*SPELLINGS[:2], {"first_name": "Anna", "last_name": "Hopper"}]

    outcomes, _ = look_up(people(*rows), {"acme.test": server})

    assert [email for email, _ in summary(outcomes)] == [
        "grace.hopper@acme.test", "grace.hopper@acme.test", "anna.hopper@acme.test"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Grace", "Hopper", ""), ("Hopper", "Grace", "")),
        (("Zoë", "Müller", ""), ("Zoe", "Muller", "")),
        (("", "", "Jean-Pierre Blanc"), ("Jean Pierre", "Blanc", "")),
        (("Иван", "Берёзов", ""), ("", "", "Берёзов Иван")),
    ],
)
def test_the_same_words_are_one_person(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert same_words(*one) == same_words(*other) != ""


@pytest.mark.parametrize(
    "full_name",
    [
        "Dr. med. univ. Grace Hopper",
        "Prof. Dr. h.c. Grace Hopper",
        "Dr. rer. nat. Grace Hopper, MSc",
        "Grace Hopper, M.D.",
        "Grace Hopper LL.M.",
        "Grace Hopper FCCA",
        "Grace Hopper KC",
        "Grace Hopper, RN, BSN",
        "Grace Hopper CISSP, CISM",
        "Grace Hopper, CEO",
        "Grace Hopper, Head of Compilers",
        "Grace Hopper she/her",
        "Grace Hopper™",
        "Grace Hopper 2nd",
        "Dr. Grace Hopper Prof.",
        "GRACE HOPPER, MD FACS",
        "Hopper, Dr. Grace",
        "Hopper, Grace, PhD",
    ],
)
def test_titles_degrees_and_what_somebody_does_are_no_part_of_a_name(full_name: str) -> None:
    assert same_words("", "", full_name) == "grace hopper"
    reading = parse_name(full_name=full_name).readings[0]  # type: ignore[union-attr]
    assert (reading.first, reading.last) == ("grace", "hopper")


@pytest.mark.parametrize(
    ("full_name", "words"),
    [
        ("Li Peng", "li peng"), ("García López, María", "garcia lopez maria"), ("J. R. Tolken", "j r tolken"),
        ("Tolken, J. R.", "j r tolken"), ("Phil Dane", "dane phil"), ("Hopper, M. D.", "d hopper m"),
    ],
)  # fmt: skip
def test_names_that_look_like_degrees_stay_names(full_name: str, words: str) -> None:
    assert same_words("", "", full_name) == words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Grace", "Hopper", ""), ("Grace", "Hopfer", "")),
        (("", "", "Reception 1"), ("", "", "Reception 2")),
        (("Grace", "Hopper", ""), ("Grace M.", "Hopper", "")),
        (("", "", "王伟"), ("", "", "王威")),
        (("Андрей", "Май", ""), ("Андреи", "Маи", "")),
    ],
)
def test_other_words_are_other_people(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert same_words(*one) != same_words(*other)


def test_a_person_elsewhere_is_another_contact_and_a_web_address_is_the_same_domain() -> None:
    grace = {"full_name": "Grace Hopper", "domain": "acme.test"}

    assert same_contact(grace) == same_contact(grace | {"domain": "https://www.acme.test/", "company": "Acme"})
    assert same_contact(grace) != same_contact(grace | {"domain": "birch.test"})
    assert same_contact(grace) != same_contact(grace | {"email": "grace@acme.test"})


def test_by_address_only_the_address_counts() -> None:
    rows = [{"email": "grace@acme.test", "full_name": "Grace"}, {"email": "mailto:Grace@ACME.test"}]

    assert len({same_contact(row, by_address=True) for row in rows}) == 1
    assert same_contact({"email": "ada@acme.test"}, by_address=True) != same_contact(rows[0], by_address=True)
