"""The result has a row for each row of the file, in its order, under its own headings."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UnusableFile
from pipeline.files.contacts import open_contacts
from pipeline.files.own_rows import result_header, result_rows

FOUND = ["found@a.test", "valid", "mailbox_exists", "97", "pattern"]
NONE = ["", "", "", "", ""]


def merged(tmp_path: Path, data: str, results: list[list[str]]) -> list[list[str]]:
    path = tmp_path / "people.csv"
    path.write_text(data)
    return list(result_rows(open_contacts(path), iter(results)))


def test_each_row_of_the_file_has_its_result(tmp_path: Path) -> None:
    data = "Name,Website,Note\nAda E,a.test,x\nBo,,y\n\nADA E,a.test,z\nCy E,c.test,\n"
    other = ["", "", "no_such_domain", "0", ""]

    assert merged(tmp_path, data, [FOUND, other]) == [
        ["Ada E", "a.test", "x", *FOUND],
        ["Bo", "", "y", "", "rejected", "domain: it is missing: give the company's domain, or an email", "", ""],
        ["", "", "", *NONE],
        ["ADA E", "a.test", "z", *FOUND],
        ["Cy E", "c.test", "", *other],
    ]


@pytest.mark.parametrize("results", [[], [FOUND], [FOUND] * 3])
def test_a_run_of_other_contacts_is_a_refusal(tmp_path: Path, results: list[list[str]]) -> None:
    with pytest.raises(UnusableFile, match=r"people\.csv has other contacts than the run"):
        merged(tmp_path, "full_name,domain\nAda,a.test\nBo,b.test\n", results)


def test_our_columns_have_a_prefix_where_the_file_has_one_of_that_name() -> None:
    assert result_header(["Name", "E-Mail", "Email Status"])[3:] == [
        "email", "growth_email_status", "email_reason", "email_score", "email_source"
    ]  # fmt: skip
    assert result_header(["Name", "Email"])[2] == "growth_email"


people = st.lists(st.sampled_from(["Ada,a.test", "Bo,b.test", "Cy,c.test", "Dee,-", ""]), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(people)
def test_whatever_repeats_or_is_missing_every_row_gets_the_result_of_its_person(
    tmp_path_factory: pytest.TempPathFactory, people: list[str]
) -> None:
    sent = list(dict.fromkeys(person for person in people if "test" in person))
    results = [[person, "", "", "", ""] for person in sent]

    rows = merged(tmp_path_factory.mktemp("own"), "\n".join(["full_name,domain", *people, ""]), results)

    assert [row[2] for row in rows] == [person if "test" in person else "" for person in people]
