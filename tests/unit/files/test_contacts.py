"""Rows become contacts: good ones go on, bad ones have the field at fault and a reason."""

import os
import threading
from pathlib import Path

import pytest

from pipeline.errors import UnusableFile
from pipeline.files.contacts import ContactReader, open_contacts

HEADER = "first_name,last_name,domain\n"


def file_of(tmp_path: Path, data: str | bytes) -> Path:
    path = tmp_path / "contacts.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def read(tmp_path: Path, data: str | bytes, preset: str = "full_pipeline") -> ContactReader:
    return open_contacts(file_of(tmp_path, data), preset)


def contacts_of(tmp_path: Path, data: str | bytes) -> list[dict[str, str]]:
    return list(read(tmp_path, data).contacts())


def rejected(tmp_path: Path, data: str | bytes, preset: str = "full_pipeline") -> list[tuple[int, str, str]]:
    return [(placed.row.number, *placed.rejected) for placed in read(tmp_path, data, preset).place() if placed.rejected]


def refusal(tmp_path: Path, data: str | bytes, preset: str = "full_pipeline") -> str:
    with pytest.raises(UnusableFile) as refused:
        read(tmp_path, data, preset)
    return str(refused.value)


def test_other_columns_are_kept_under_their_own_headings(tmp_path: Path) -> None:
    data = "First Name,Last Name,Website,Crm Id,Crm Id,,Notes\nAda,Example,alpha.test,7,8,x,\n"

    assert contacts_of(tmp_path, data) == [
        {
            "first_name": "Ada", "last_name": "Example", "domain": "alpha.test",
            "Crm Id": "7", "Crm Id (2)": "8", "column_6": "x",
        }
    ]  # fmt: skip


def test_a_bad_row_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    data = HEADER + "Ada,Example,alpha.test\nBo,,beta.test\nCy,Example,\nDee,Example,delta.test,more\nEve,Ex,eve.test\n"

    assert [contact["first_name"] for contact in contacts_of(tmp_path, data)] == ["Ada", "Eve"]
    assert rejected(tmp_path, data) == [
        (3, "last_name", "it is missing: give it, or full_name"),
        (4, "domain", "it is missing: give the company's domain, or an email"),
        (5, "row", "it has 4 cells, the header 3: quote what holds the delimiter"),
    ]


def test_a_stray_quote_costs_its_own_row_only(tmp_path: Path) -> None:
    data = (
        HEADER
        + 'Ada,"Example,a.test\nBo,Example,b.test\nCy,"Big, Inc",c.test\nDee,"The "Dee" Co",d.test\nEve,Ex,e.test\n'
    )

    assert [contact["first_name"] for contact in contacts_of(tmp_path, data)] == ["Bo", "Cy", "Eve"]
    assert [(number, field) for number, field, _ in rejected(tmp_path, data)] == [(2, "row"), (5, "row")]


def test_a_repeated_row_is_one_contact_and_every_row_knows_which(tmp_path: Path) -> None:
    data = HEADER + "Ada,Example,a.test\nBo,Example,b.test\nADA,  Example ,A.test\n\nCy,Example,c.test\n"

    placed = list(read(tmp_path, data).place())

    assert [each.contact for each in placed] == [0, 1, 0, None, 2]
    assert [each.is_new for each in placed] == [True, True, False, False, True]


def test_counts_add_up_to_the_rows_of_the_file(tmp_path: Path) -> None:
    reader = read(tmp_path, HEADER + "Ada,E,a.test\nAda,E,a.test\n\n,,x.test\nBo,E,b.test\n")
    list(reader.place())

    counts = reader.counts
    assert (counts.rows, counts.contacts, counts.repeated, counts.rejected, counts.blank) == (4, 2, 1, 1, 1)


@pytest.mark.parametrize("nothing", ["-", "N/A", "n/a", "NULL", "None", "#N/A", "(not set)", " \u200b"])
def test_a_word_for_nothing_is_nothing(tmp_path: Path, nothing: str) -> None:
    data = f"first_name,last_name,domain,email\nAda,Example,{nothing},ada@a.test\n"

    assert contacts_of(tmp_path, data)[0]["domain"] == ""


def test_null_is_a_name(tmp_path: Path) -> None:
    assert contacts_of(tmp_path, HEADER + "Ada,Null,a.test\n")[0]["last_name"] == "Null"


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (HEADER + f"{'a' * 201},Example,a.test\n", "first_name"),
        (HEADER + f"Ada,Example,{'a' * 320}.test\n", "domain"),
        (HEADER + "A\x01da,Example,a.test\n", "first_name"),
        ("first_name,last_name,domain,note\nAda,Example,a.test," + "x" * 20_001 + "\n", "row"),
        (HEADER.encode() + b"Zo\xc3\xab,Example,a.test\n" * 30 + b"Zo\xeb,Example,b.test\n", "row"),
    ],
    ids=["long name", "long domain", "control character", "long notes", "damaged character"],
)
def test_what_the_api_would_refuse_is_a_rejected_row(tmp_path: Path, data: str | bytes, field: str) -> None:
    assert [name for _, name, _ in rejected(tmp_path, data)] == [field]


def test_the_preset_that_verifies_needs_an_email_in_each_row(tmp_path: Path) -> None:
    data = "email,note\na@alpha.test,x\n,y\n"

    assert rejected(tmp_path, data, "verify_existing_emails") == [
        (3, "email", "it is missing: this preset verifies addresses that you bring")
    ]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("name,city\nAda,Berlin\n", "no usable columns: it needs first_name and last_name"),
        (
            "Name,Town\nAda,Berlin\n",
            "or email. Its columns: Name, Town. Say which is which, such as --map domain=COLUMN.",
        ),
        ("Full Name,Web adress\nAda,\n", "or email. Nearest: Web adress. All columns: Full Name, Web adress."),
        ("Colour,Town\nred,Bonn\n", "--map domain=COLUMN --map first_name=COLUMN --map last_name=COLUMN."),
        ("", "is empty"),
        (b"\x00\x01\x02\x00", "is not a text file"),
    ],
)
def test_a_file_without_usable_columns_names_its_own(tmp_path: Path, data: str | bytes, sentence: str) -> None:
    assert sentence in refusal(tmp_path, data)


@pytest.mark.parametrize("data", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"", b"\n \n"])
def test_a_file_of_nothing_but_a_mark_is_empty(tmp_path: Path, data: bytes) -> None:
    assert "is empty" in refusal(tmp_path, data)


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\0\0", b"PK\x03\x04\0\0", b"\xff\xfe\0\0a\0\0\0", b"\0" * 100])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, data: bytes) -> None:
    assert "is not a" in refusal(tmp_path, data)


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=[HEADER + "Ada,Example,alpha.test\n"], daemon=True)
    writer.start()

    reader = open_contacts(pipe)

    assert [contact["first_name"] for contact in reader.contacts()] == ["Ada"]
    assert [contact["first_name"] for contact in reader.contacts()] == ["Ada"]


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="Is a directory"):
        open_contacts(tmp_path)
