"""A person who is erased is gone from uploads: from those that runs use row by row, from others with the upload."""

from uuid import UUID

import pytest

from models.database import Database
from models.privacy_wire import PersonToErase
from pipeline.errors import InvalidInput, UnknownUpload
from pipeline.privacy.erase_people import erase_people
from pipeline.uploads.receiving import find_upload
from tests.factories import account
from tests.unit.uploads.uploading import ready, received, rows, run_from

HEADER = b"full_name,domain,email,note\n"
ADA, BEA = b"Ada Alder,alpha.test,,x\n", b"Bea Birch,alpha.test,,y\n"
HERS_REJECTED = b"Ada Alder,,,see ada@alpha.test\n"
EVERYTHING = """SELECT concat_ws(' ', work_order, first_name, last_name, full_name, company, domain, email, extra, line)
                FROM upload_rows ORDER BY row"""


def erase_ada(database: Database, owner: UUID) -> list[UUID]:
    changed: list[UUID] = []
    ada = PersonToErase(full_name="Ada Alder", domain="alpha.test", email="ada@alpha.test")
    erase_people(database, owner, [ada], suppress=False, on_change=changed.append)
    return changed


def is_there(database: Database, owner: UUID, upload_id: UUID) -> bool:
    with database.transaction() as session:
        try:
            return bool(find_upload(session, owner, upload_id))
        except UnknownUpload:
            return False


def test_an_unused_upload_with_the_person_is_discarded(database: Database, owner: UUID) -> None:
    hers, others = ready(database, owner, HEADER + ADA + BEA), ready(database, owner, HEADER + BEA)

    erase_ada(database, owner)

    assert (is_there(database, owner, hers), is_there(database, owner, others)) == (False, True)


def test_an_unread_upload_is_discarded_since_it_may_have_the_person(database: Database, owner: UUID) -> None:
    upload_id = received(database, owner, HEADER + BEA, size=1_000)

    erase_ada(database, owner)

    assert not is_there(database, owner, upload_id)


def test_in_an_upload_that_a_run_uses_her_rows_are_emptied(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner, HEADER + ADA + BEA + ADA + HERS_REJECTED)
    run_id = run_from(database, owner, upload_id).run_id

    assert run_id in erase_ada(database, owner)

    texts = [text for (text,) in rows(database, EVERYTHING)]
    assert not [text for text in texts if "da" in text.lower()]
    assert "Bea Birch" in texts[1]
    assert rows(database, "SELECT 1 FROM upload_pieces") == []
    with pytest.raises(InvalidInput, match="A person was erased"):
        run_from(database, owner, upload_id)


def test_an_erased_contact_of_a_run_is_erased_from_its_upload(database: Database, owner: UUID) -> None:
    """Also where only the run knows that it is the person: by the address that was found."""
    run_id = run_from(database, owner, ready(database, owner, HEADER + b"A. A.,other.test,,x\n" + BEA)).run_id
    rows(database, "UPDATE contacts SET erased = true, full_name = '' WHERE input_row = 0 RETURNING 1")

    assert erase_ada(database, owner) == [run_id]
    assert "other.test" not in rows(database, EVERYTHING)[0][0]


def test_uploads_of_other_accounts_stay(database: Database, owner: UUID) -> None:
    stranger = account(database).account_id
    upload_id = ready(database, stranger, HEADER + ADA)

    erase_ada(database, owner)

    assert is_there(database, stranger, upload_id)


def test_an_upload_without_the_person_stays_as_it_is(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner, HEADER + BEA)
    run_from(database, owner, upload_id)

    assert erase_ada(database, owner) == []
    assert run_from(database, owner, upload_id).is_new
