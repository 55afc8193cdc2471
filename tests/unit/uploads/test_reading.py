"""An upload is read as a file on the command line is; what can't be used is refused with a sentence."""

import csv
import gzip
import hashlib
import io
import json
import resource
import tempfile
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pytest
from pyarrow import parquet
from xlsxwriter import Workbook

from models.database import Database
from pipeline.errors import UploadConflict
from pipeline.uploads.reading import VALUE_CHARS, Reading, ReadingLimits
from tests.unit.uploads.uploading import (
    LIMITS,
    PEOPLE,
    READING,
    packed,
    read,
    ready,
    received,
    refusal,
    rows,
    rows_of,
    run_from,
)

LINES = "SELECT line FROM upload_rows ORDER BY row"
HEADER = "full_name,domain,note\n"


def workbook() -> bytes:
    file = io.BytesIO()
    with Workbook(file, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        for number, row in enumerate([["Name", "Website"], ["Ada Ex", "alpha.test"], ["Bo Ex", "beta.test"]]):
            sheet.write_row(number, 0, row)
    return file.getvalue()


def table() -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table({"Name": ["Ada Ex", "Bo Ex"], "Website": ["alpha.test", "beta.test"]}), file)
    return file.getvalue()


OF_TWO = {
    "CSV": b"Name,Website\nAda Ex,alpha.test\nBo Ex,beta.test\n",
    "TSV in UTF-16": "Name\tWebsite\nAda Ex\talpha.test\nBo Ex\tbeta.test\n".encode("utf-16"),
    "NDJSON": b'{"Name": "Ada Ex", "Website": "alpha.test"}\n{"Website": "beta.test", "Name": "Bo Ex"}\n',
    "gzip": packed(b"Name,Website\nAda Ex,alpha.test\nBo Ex,beta.test\n"),
    "zstd": pa.compress(b"Name,Website\nAda Ex,alpha.test\nBo Ex,beta.test\n", "zstd", asbytes=True),
    "XLSX": workbook(),
    "Parquet": table(),
}


@pytest.mark.parametrize("kind", OF_TWO)
def test_a_file_of_any_kind_is_read(database: Database, owner: UUID, kind: str) -> None:
    upload = read(database, owner, received(database, owner, OF_TWO[kind]))

    assert (upload.refusal, upload.contact_count) == (None, 2)
    found = rows(database, "SELECT full_name, domain FROM upload_rows ORDER BY row")
    assert found == [("Ada Ex", "alpha.test"), ("Bo Ex", "beta.test")]


def test_each_row_has_its_contact_or_its_reason(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner)

    missing = "it is missing: give it, or full_name"
    assert rows_of(database, upload_id) == [
        (2, 0, True, None), (3, 1, True, None), (4, 0, False, None), (5, None, False, missing)
    ]  # fmt: skip


def test_what_was_found_is_kept(database: Database, owner: UUID) -> None:
    upload = read(database, owner, received(database, owner))

    assert upload.counts == {"rows": 4, "contacts": 2, "repeated": 1, "empty": 0, "notes": 0, "rejected": 1}
    assert upload.extra_columns == ["Team"]
    assert [column for column in upload.recognised["columns"] if column[1]] == [
        ["First Name", "first_name"], ["Last Name", "last_name"], ["Website", "domain"]
    ]  # fmt: skip
    assert upload.recognised["rejected"] == [[5, "last_name", "it is missing: give it, or full_name"]]
    assert upload.sha256 == hashlib.sha256(PEOPLE).hexdigest()


def test_reading_twice_reads_once(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner)

    assert read(database, owner, upload_id).reading == 1


def test_it_can_be_read_with_other_columns(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner, b"Name,Website,Backup\nAda Ex,alpha.test,other.test\n")

    upload = read(database, owner, upload_id, anew=Reading(mapping={"domain": "Backup"}))

    assert (upload.reading, upload.contact_count) == (2, 1)
    assert rows(database, "SELECT domain FROM upload_rows") == [("other.test",)]


def test_a_run_keeps_it_from_being_read_in_another_way(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner)
    run_from(database, owner, upload_id)

    with pytest.raises(UploadConflict, match="A run was started"):
        read(database, owner, upload_id, anew=Reading(mapping={"domain": "Website"}))


def test_the_first_values_of_a_refused_file_are_kept_and_are_text(database: Database, owner: UUID) -> None:
    found = [{"a": "x\0y\ud800", "b": ""}, *({"a": "z" * 200, "b": str(number)} for number in range(9))]
    data = "\n".join(map(json.dumps, found)).encode()

    upload = read(database, owner, received(database, owner, data, name="people.jsonl"))

    assert upload.refusal
    assert upload.recognised["columns"] == [["a", None], ["b", None]]
    assert upload.recognised["values"] == [["x\ufffdy?", "z" * VALUE_CHARS, "z" * VALUE_CHARS], ["0", "1", "2"]]


def test_a_file_that_is_refused_can_be_read_in_the_encoding_that_the_user_names(
    database: Database, owner: UUID
) -> None:
    data = (HEADER + "Łukasz Żak,a.test,x\n").encode("cp1250")
    upload_id = received(database, owner, data)
    read(database, owner, upload_id)

    upload = read(database, owner, upload_id, anew=Reading(encoding="cp1250"))

    assert upload.refusal is None
    assert rows(database, "SELECT full_name FROM upload_rows") == [("Łukasz Żak",)]


def test_an_incomplete_upload_is_not_read(database: Database, owner: UUID) -> None:
    upload_id = received(database, owner, PEOPLE, size=len(PEOPLE) + 1)

    with pytest.raises(UploadConflict, match="Only"):
        read(database, owner, upload_id)


def test_a_file_with_another_checksum_is_refused(database: Database, owner: UUID) -> None:
    assert "another SHA-256" in refusal(database, owner, PEOPLE, sha256="0" * 64)
    assert rows(database, "SELECT 1 FROM upload_rows") == []


def test_the_checksum_that_the_client_announced_is_accepted_in_either_case(database: Database, owner: UUID) -> None:
    ready(database, owner, sha256=hashlib.sha256(PEOPLE).hexdigest().upper())


UNUSABLE = {
    "nothing": (b"", "people.csv is empty"),
    "a header alone": (b"full_name,domain\n", "has a header but no contacts"),
    "no usable row": (b"full_name,domain\nAda,\n", "no row that can be used. The first is row 2, field domain"),
    "no usable column": (b"colour,size\nred,2\n", "has no usable columns"),
    "a cut-off gzip": (packed(PEOPLE * 200)[:-20], "damaged or cut off"),
    "a cut-off workbook": (workbook()[:-200], "not a workbook"),
    "a cut-off Parquet": (table()[:-8], "damaged Parquet"),
    "a heading that is no text": (b'{"full_name": "Ada", "domain": "a.test", "\\ud800": "x"}\n', "heading of column 3"),
    "binary": (b"full_name,domain\n" + bytes(range(256)) * 9, "not a text file"),
    "columns": ((",".join(f"c{n}" for n in range(10_000)) + "\n").encode() * 3, "has 10,000 columns"),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_file_that_cannot_be_used_is_refused_with_a_sentence(database: Database, owner: UUID, kind: str) -> None:
    data, expected = UNUSABLE[kind]

    assert expected in refusal(database, owner, data)
    assert rows(database, "SELECT 1 FROM upload_rows") == []


def test_a_file_of_too_many_rows_is_refused_and_leaves_none(database: Database, owner: UUID) -> None:
    data = (HEADER + "Ada Ex,a.test,\n" * 3_000).encode()
    few = ReadingLimits(most_rows=2_999, most_bytes=1 << 20, knows_companies=False)

    assert "more than 2,999 rows" in refusal(database, owner, data, few)
    assert rows(database, "SELECT 1 FROM upload_rows") == []


def test_a_workbook_that_takes_too_much_memory_is_refused(database: Database, owner: UUID) -> None:
    little = ReadingLimits(most_rows=10, most_bytes=1 << 20, knows_companies=False, most_memory=100)

    assert "the most is 0 MB: save it as CSV" in refusal(database, owner, workbook(), little)


def test_a_bomb_is_unpacked_up_to_the_limit_only(
    database: Database, owner: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bomb = gzip.compress(b"\n" * (READING.most_bytes + 1))

    assert "unpacks to more than" in refusal(database, owner, bomb)
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_a_copy_nothing_changes_and_it_is_read_later(database: Database, owner: UUID) -> None:
    upload_id = received(database, owner, b"full_name,domain\n" + b"Ada Ex,a.test\n" * 1_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            read(database, owner, upload_id)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert rows(database, "SELECT reading, refusal FROM uploads") == [(0, None)]
    assert read(database, owner, upload_id).contact_count == 1


def test_a_cell_of_megabytes_costs_its_row(database: Database, owner: UUID) -> None:
    data = (HEADER + "Ada Ex,a.test," + "x" * 1_000_000 + "\nBo Ex,b.test,\n").encode()
    assert len(data) < LIMITS.most_bytes

    upload_id = ready(database, owner, data)

    assert [(row, contact) for row, contact, _, _ in rows_of(database, upload_id)] == [(2, None), (3, 0)]


@pytest.mark.parametrize("value", ["a\\u0000b", "a\\ud800b"], ids=["NUL", "half a surrogate pair"])
def test_a_row_that_cannot_be_stored_is_rejected(database: Database, owner: UUID, value: str) -> None:
    data = f'{{"full_name": "Ada", "domain": "a.test", "n": "{value}"}}\n{{"full_name": "Bo", "domain": "b.test"}}\n'

    upload_id = ready(database, owner, data.encode())

    assert [(row, contact) for row, contact, _, _ in rows_of(database, upload_id)] == [(1, None), (2, 0)]


def test_a_company_will_do_if_the_engine_knows_companies(database: Database, owner: UUID) -> None:
    data = b"full_name,company\nAda,One\nBo,Two\nAda,One\n"
    knowing = ReadingLimits(most_rows=10, most_bytes=1 << 20, knows_companies=True)

    assert "field domain: it is missing" in refusal(database, owner, data)
    assert read(database, owner, received(database, owner, data), knowing).contact_count == 2


def test_odd_cells_come_back_as_they_are(database: Database, owner: UUID) -> None:
    odd = ["a\\tb\\N", "tab\there", "line\none", "\\", "\\N", 'quo"te', "日本\u2028語"]
    lines = io.StringIO()
    csv.writer(lines).writerows([["full_name", "domain", *"abcdefg"], *([["Ada Ex", "a.test", *odd]] * 3)])
    upload_id = ready(database, owner, lines.getvalue().encode())

    run_from(database, owner, upload_id)

    assert [list(extra.values()) for (extra,) in rows(database, "SELECT extra FROM contacts")] == [odd]
    read_back = [next(csv.reader(io.StringIO(line, newline=""))) for (line,) in rows(database, LINES)]
    assert read_back == [["Ada Ex", "a.test", *odd]] * 3
