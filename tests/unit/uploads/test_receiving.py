"""What is acknowledged is stored, in order, once; and nobody else sees it."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from models.database import Database
from pipeline.errors import InvalidInput, UnknownUpload, UploadConflict
from pipeline.uploads import receiving
from pipeline.uploads.receiving import NewUpload, append, create_upload, discard, find_upload, shown_name
from tests.factories import account
from tests.unit.uploads.uploading import LIMITS, PEOPLE, ready, received, rows, run_from


def begun(database: Database, owner: UUID, size: int | None = None) -> UUID:
    with database.transaction() as session:
        return create_upload(session, owner, NewUpload("people.csv", size), LIMITS).id


def add(database: Database, owner: UUID, upload_id: UUID, start: int, data: bytes) -> int:
    with database.transaction() as session:
        return append(session, owner, upload_id, start, data, LIMITS)


def test_pieces_are_added_at_the_end(database: Database, owner: UUID) -> None:
    upload_id = begun(database, owner, 6)

    assert [add(database, owner, upload_id, 0, b"abc"), add(database, owner, upload_id, 3, b"def")] == [3, 6]


@pytest.mark.parametrize("start", [0, 2, 4])
def test_a_piece_for_another_place_is_refused_with_the_place_where_to_go_on(
    database: Database, owner: UUID, start: int
) -> None:
    upload_id = begun(database, owner, 9)
    add(database, owner, upload_id, 0, b"abc")

    with pytest.raises(UploadConflict, match="has 3 bytes: go on from there"):
        add(database, owner, upload_id, start, b"def")


def test_of_two_requests_for_the_same_place_one_is_stored(database: Database, owner: UUID) -> None:
    upload_id = begun(database, owner, 1_000)

    def attempt(letter: bytes) -> bool:
        try:
            return bool(add(database, owner, upload_id, 0, letter * 500))
        except UploadConflict:
            return False

    with ThreadPoolExecutor(4) as pool:
        stored = list(pool.map(attempt, [b"a", b"b", b"c", b"d"]))

    assert sum(stored) == 1
    assert rows(database, "SELECT start, length(content) FROM upload_pieces") == [(0, 500)]


def test_more_than_was_announced_is_refused(database: Database, owner: UUID) -> None:
    with pytest.raises(InvalidInput, match="More bytes came than the 2"):
        add(database, owner, begun(database, owner, 2), 0, b"abc")


def test_a_file_that_is_too_large_is_refused_before_and_while_it_comes(database: Database, owner: UUID) -> None:
    with pytest.raises(InvalidInput, match="larger than"):
        begun(database, owner, LIMITS.most_bytes + 1)
    upload_id = begun(database, owner)
    with pytest.raises(InvalidInput, match="larger than"):
        add(database, owner, upload_id, 0, b"x" * (LIMITS.most_bytes + 1))


def test_an_upload_of_another_account_looks_like_a_missing_one(database: Database, owner: UUID) -> None:
    upload_id, stranger = received(database, owner), account(database).account_id

    for asked in (upload_id, uuid4()):
        with database.transaction() as session, pytest.raises(UnknownUpload, match="no upload with this id"):
            find_upload(session, stranger, asked)
        with pytest.raises(UnknownUpload):
            add(database, stranger, asked, len(PEOPLE), b"x")
        with database.transaction() as session, pytest.raises(UnknownUpload):
            discard(session, stranger, asked)


def test_an_account_has_a_limited_number_of_unused_uploads(database: Database, owner: UUID) -> None:
    for _ in range(LIMITS.most_uploads):
        ready(database, owner)
    with pytest.raises(UploadConflict, match="5 uploads that no run uses"):
        begun(database, owner)

    run_from(database, owner, UUID(str(rows(database, "SELECT max(id::text) FROM uploads")[0][0])))

    begun(database, owner)


def test_a_discarded_upload_is_gone_for_its_owner(database: Database, owner: UUID) -> None:
    upload_id = received(database, owner)
    with database.transaction() as session:
        discard(session, owner, upload_id)

    with database.transaction() as session, pytest.raises(UnknownUpload):
        receiving.find_upload(session, owner, upload_id)


def test_an_upload_that_a_run_uses_is_not_discarded(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner)
    run_from(database, owner, upload_id)

    with database.transaction() as session, pytest.raises(UploadConflict, match="A run was started"):
        discard(session, owner, upload_id)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("people.csv", "people.csv"), ("C:\\x\\a.csv", "a.csv"), ("../../etc/p", "p"), ("", "upload"), ("a\nb", "a_b")],
)
def test_a_name_is_made_fit_for_sentences(name: str, shown: str) -> None:
    assert shown_name(name) == shown
