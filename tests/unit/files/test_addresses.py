"""Lists of addresses, however they were saved."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UnusableFile
from pipeline.files.addresses import open_addresses


def addresses_in(tmp_path: Path, data: str | bytes) -> list[str]:
    path = tmp_path / "list.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    file = open_addresses(path)
    return [row[file.column] for row in file.rows()]


@pytest.mark.parametrize(
    "data",
    [
        "email\ngrace@acme.test\nada@acme.test\n",
        "id,E-Mail,note\n1,grace@acme.test,x\n2,ada@acme.test,y\n",
        "id;contact point;note\r\n1;grace@acme.test;x\r\n2;ada@acme.test;y\r\n",
        "note\twork_email\nx\tgrace@acme.test\ny\tada@acme.test",
        "grace@acme.test\nada@acme.test\n",
        "1,grace@acme.test\n2,ada@acme.test\n",
        "\n\nemail\n\ngrace@acme.test\n\nada@acme.test\n\n",
        'name,email\n"Zoë\nExample",grace@acme.test\nBo,ada@acme.test\n'.encode("latin-1"),
        "email,name\ngrace@acme.test,Zoë\nada@acme.test,Bo\n".encode("utf-16"),
        b"\xef\xbb\xbfemail\ngrace@acme.test\nada@acme.test\n",
    ],
)
def test_the_address_column_is_found(tmp_path: Path, data: str | bytes) -> None:
    assert addresses_in(tmp_path, data) == ["grace@acme.test", "ada@acme.test"]


def test_a_column_called_email_comes_before_one_that_holds_more_addresses(tmp_path: Path) -> None:
    assert addresses_in(tmp_path, "owner,email\na@x.test,\nb@x.test,c@x.test\n") == ["", "c@x.test"]


def test_a_column_of_handles_is_no_column_of_addresses(tmp_path: Path) -> None:
    data = "Name,Twitter,Reach at\nGrace,@grace,grace@acme.test\nAda,@ada,ada@acme.test\n"

    assert addresses_in(tmp_path, data) == ["grace@acme.test", "ada@acme.test"]


def test_the_address_of_an_owner_who_is_the_same_in_each_row_is_not_taken(tmp_path: Path) -> None:
    data = "Owner,Reach at\n" + "".join(f"sales@my.test,person{n}@acme.test\n" for n in range(3)) + "sales@my.test,\n"

    assert addresses_in(tmp_path, data)[:2] == ["person0@acme.test", "person1@acme.test"]


def test_rows_are_as_long_as_the_header(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("email,a,b\ngrace@acme.test\n")

    assert list(open_addresses(path).rows()) == [["grace@acme.test", "", ""]]


def test_a_file_without_a_header_gets_one_and_a_notice_says_so(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("1,grace@acme.test\n")

    file = open_addresses(path)

    assert list(file.header) == ["column_1", "email"]
    assert list(file.notices) == [
        "list.csv has no header: its first row is taken as data, too, and its columns are called column_1 …"
    ]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("", "is empty"),
        ("name,city\nAda,Berlin\n", "has no column of addresses: call one `email`. Its columns: name, city."),
        ("email\ngrace@acme.test,more\n", "row 2: it has 2 cells, the header 1"),
        (b"\x00\x01", "is not a text file"),
        ('email\n"grace@acme.test\n', "row 2: a quotation mark is open"),
        ("email,note\ngrace@acme.test,Caf\ufffd\n", "row 2: a character is damaged"),
    ],
)
def test_an_unusable_file_says_what_is_wrong(tmp_path: Path, data: str | bytes, sentence: str) -> None:
    with pytest.raises(UnusableFile, match=sentence.replace("(", r"\(")):
        addresses_in(tmp_path, data)


# U+FFFD stands for a character that is lost: a row with one is refused, as the test above says.
cells = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="@\ufffd"), max_size=10)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=20), st.sampled_from(",;\t|"))
def test_whatever_else_a_spreadsheet_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str
) -> None:
    text = io.StringIO()
    given_rows = [[first, f"p{number}@acme.test", last] for number, (first, last) in enumerate(rows)]
    csv.writer(text, delimiter=delimiter).writerows([["note", "email", "extra"], *given_rows])
    path = tmp_path_factory.mktemp("csv") / "list.csv"
    path.write_text(text.getvalue(), newline="")

    assert list(open_addresses(path).rows()) == given_rows
