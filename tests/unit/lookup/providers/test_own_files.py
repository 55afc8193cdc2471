"""The user's own files: a directory of people, and the domains of companies."""

import asyncio
from pathlib import Path

import pytest

from pipeline.errors import SourcesMisconfigured
from pipeline.lookup.providers.companies import read_companies
from pipeline.lookup.providers.journal import NoJournal
from pipeline.lookup.providers.people import read_people
from pipeline.lookup.providers.source import Found, Person

PEOPLE = """Full_Name,Domain,Company,Email
Grace Hopper,acme.test,,grace@acme.test
Zoë Ångström,,Example Co.,zoe@mail.example
Two Ways,acme.test,,one@acme.test
Two Ways,acme.test,,two@acme.test
No Address,acme.test,,nonsense
Only Mail,,,only@acme.test
"""


def look_up(tmp_path: Path, person: Person, text: str = PEOPLE) -> str | None:
    path = tmp_path / "people.csv"
    path.write_text(text, encoding="utf-8-sig")
    results = asyncio.run(read_people(path).ask(person, NoJournal(), None))
    return results.email if isinstance(results, Found) else None


@pytest.mark.parametrize(
    ("person", "email"),
    [
        (Person(full_name="grace  HOPPER", domain="acme.test"), "grace@acme.test"),
        (Person(first_name="Grace", last_name="Hopper", domain="acme.test"), "grace@acme.test"),
        (Person(full_name="Grace Hopper", domain="other.test"), None),
        (Person(full_name="Zoë Ångström", company="EXAMPLE"), "zoe@mail.example"),
        (Person(full_name="Zoë Ångström", company="Example, Inc."), "zoe@mail.example"),
        (Person(full_name="Only Mail", domain="acme.test"), "only@acme.test"),
        (Person(full_name="Two Ways", domain="acme.test"), None),
        (Person(full_name="No Address", domain="acme.test"), None),
        (Person(domain="acme.test"), None),
    ],
)
def test_a_person_is_known_by_name_and_domain_or_company(tmp_path: Path, person: Person, email: str | None) -> None:
    assert look_up(tmp_path, person) == email


def test_names_in_two_columns_and_semicolons_are_understood(tmp_path: Path) -> None:
    text = "first_name;last_name;domain;email\nGrace;Hopper;https://www.acme.test/;grace@acme.test\n"

    assert look_up(tmp_path, Person(full_name="Grace Hopper", domain="acme.test"), text) == "grace@acme.test"


@pytest.mark.parametrize(
    ("company", "domain"),
    [("Example Co", "example.test"), ("EXAMPLE GmbH & Co. KG", None), ("example", "example.test"), ("Other", None)],
)
def test_a_company_is_known_whatever_its_case_and_legal_form(tmp_path: Path, company: str, domain: str | None) -> None:
    path = tmp_path / "companies.csv"
    path.write_text("company,domain\nExample Ltd.,www.example.test\nExample,later.test\nBad,no domain\n")

    assert asyncio.run(read_companies(path).domain_of(company)) == domain


@pytest.mark.parametrize("content", [b"name,mail\nx,y\n", b"\xff\xfe\x00", b""])
def test_a_file_that_can_not_be_used_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(content)

    with pytest.raises(SourcesMisconfigured, match=r"people\.csv"):
        read_people(path)
