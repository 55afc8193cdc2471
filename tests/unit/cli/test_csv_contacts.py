"""Contacts files as people have them."""

import csv
import io
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.csv_input import UnusableFile, read_contacts

HEADER = "first_name,last_name,domain\n"


def file_of(tmp_path: Path, data: str | bytes) -> Path:
    path = tmp_path / "contacts.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def problem_with(tmp_path: Path, data: str | bytes, preset: str = "full_pipeline") -> str:
    with pytest.raises(UnusableFile) as refused:
        read_contacts(file_of(tmp_path, data), preset)
    return str(refused.value)


@pytest.mark.parametrize(
    "data",
    [
        "first_name,last_name,domain\nZoë,Example,alpha.test\n".encode(),
        "\ufefffirst_name,last_name,domain\nZoë,Example,alpha.test\n".encode(),
        "first_name,last_name,domain\nZoë,Example,alpha.test\n".encode("utf-16"),
        "first_name;last_name;domain\r\nZoë;Example;alpha.test\r\n".encode(),
        "first_name\tlast_name\tdomain\nZoë\tExample\talpha.test".encode(),
        'First Name,"Last Name",Website\n"Zoë", Example ,alpha.test\n'.encode(),
        "first_name,last_name,domain\nZoë,Example,alpha.test\n".encode("latin-1"),
    ],
    ids=["UTF-8", "byte order mark", "UTF-16", "semicolons", "tabs", "other column names", "Latin-1"],
)
def test_a_file_is_read_however_it_was_saved(tmp_path: Path, data: bytes) -> None:
    file = read_contacts(file_of(tmp_path, data))

    assert file.contacts == [{"first_name": "Zoë", "last_name": "Example", "domain": "alpha.test"}]


def test_a_latin_1_file_says_how_it_was_read(tmp_path: Path) -> None:
    file = read_contacts(file_of(tmp_path, (HEADER + "Zoë,Example,alpha.test\n").encode("latin-1")))

    assert file.notices == [
        "contacts.csv is not UTF-8; it was read as Windows-1252 (Latin-1). Check that accented names look right."
    ]


def test_empty_and_repeated_rows_are_left_out_and_reported(tmp_path: Path) -> None:
    rows = "Ada,Example,alpha.test\n\n,,\nAda,Example,alpha.test\nAda,Example,beta.test\n"

    file = read_contacts(file_of(tmp_path, HEADER + rows))

    assert [contact["domain"] for contact in file.contacts] == ["alpha.test", "beta.test"]
    assert file.notices == [
        "Row 3 is empty: left out.",
        "Row 4 is empty: left out.",
        "Row 5 repeats row 2: left out.",
    ]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (HEADER + "Ada,Example,\n", "Row 2, field domain is missing"),
        (HEADER + "Ada,Example,a.test\nBo,,b.test\n", "Row 3, field last_name is missing"),
        (HEADER + "Ada,Example,a.test,more\n", "Row 2 has 4 fields, the header 3"),
        ("name,city\nAda,Berlin\n", "no usable columns: it needs first_name and last_name"),
        ("Name,Town\nAda,Berlin\n", "or email. Found: Name, Town."),
        (HEADER, "has a header but no contacts"),
        ("", "is empty"),
        (b"\x00\x01\x02\x00", "is not a text file"),
        ('first_name,last_name,domain\n"Ada,Example,a.test\n', "is not a usable CSV file"),
        ("email,E-Mail,email\na@a.test,b,c\n", "has the column 'email' more than once"),
        ("Mail,email\na@a.test,b\n", "has columns that mean the same, 'Mail' and 'email': rename or remove one."),
    ],
)
def test_an_unusable_file_says_what_is_wrong_and_where(tmp_path: Path, data: str | bytes, sentence: str) -> None:
    assert sentence in problem_with(tmp_path, data)


def test_the_preset_that_verifies_needs_an_email_in_each_row(tmp_path: Path) -> None:
    assert "Row 3, field email is missing" in problem_with(
        tmp_path, "email,note\na@alpha.test,x\n,y\n", preset="verify_existing_emails"
    )


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    rows = "".join(f"Ada{n},Example,\n" for n in range(30))

    lines = problem_with(tmp_path, HEADER + rows).splitlines()

    assert lines[0] == "Nothing was sent, since contacts.csv has rows that can't be used:"
    assert (lines[1][:6], len(lines), lines[-1]) == ("Row 2,", 22, "... and 10 more.")


names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20)


@given(st.lists(st.tuples(names, names, names), min_size=1, unique=True), st.sampled_from(",;\t|"))
def test_whatever_a_spreadsheet_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, people: list[tuple[str, str, str]], delimiter: str
) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([("first_name", "last_name", "domain"), *people])

    file = read_contacts(file_of(tmp_path_factory.mktemp("csv"), text.getvalue()))

    assert [tuple(contact.values()) for contact in file.contacts] == people


def test_characters_that_only_look_like_an_end_of_line_stay_in_their_value(tmp_path: Path) -> None:
    file = read_contacts(file_of(tmp_path, HEADER + "Ada,Exam\u2028ple\x0b,alpha.test\n"))

    assert [contact["last_name"] for contact in file.contacts] == ["Exam\u2028ple"]


def test_blank_lines_before_the_header_are_passed_over_and_counted(tmp_path: Path) -> None:
    data = "\n\n" + HEADER + "Ada,Example,alpha.test\nEve,Example,\n"

    assert "Row 5, field domain is missing" in problem_with(tmp_path, data)


@pytest.mark.parametrize("data", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"", b"\n \n"])
def test_a_file_of_nothing_but_a_mark_is_empty(tmp_path: Path, data: bytes) -> None:
    assert "is empty" in problem_with(tmp_path, data)


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0", b"PK\x03\x04\0\0", b"\xff\xfe\0\0a\0\0\0", b"\0" * 100])
def test_a_file_that_is_no_text_is_reported(tmp_path: Path, data: bytes) -> None:
    assert "is not a text file" in problem_with(tmp_path, data)


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=[HEADER + "Ada,Example,alpha.test\n"], daemon=True)
    writer.start()

    assert [contact["first_name"] for contact in read_contacts(pipe).contacts] == ["Ada"]


def test_a_folder_in_place_of_a_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="Is a directory"):
        read_contacts(tmp_path)
