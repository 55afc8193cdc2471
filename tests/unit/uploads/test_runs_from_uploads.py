"""A run from an upload is the run that the same contacts in a body would make."""

from uuid import UUID, uuid4

import pytest

from models.database import Database
from models.run import Run
from models.wire import ContactIn
from pipeline.credits import RateCard
from pipeline.errors import (
    IdempotencyConflict,
    InsufficientCredits,
    InvalidInput,
    QuoteRefused,
    UnknownUpload,
    UploadConflict,
)
from pipeline.quotes.estimate import expect
from pipeline.quotes.tokens import digest_of, digest_with_upload, issue
from pipeline.runs import lifecycle
from pipeline.runs.create import create_run
from pipeline.runs.retry import retry_run
from pipeline.uploads.reading import Reading
from pipeline.uploads.receiving import find_upload, lock_upload
from tests.factories import account, count, order_of
from tests.unit.uploads.uploading import plan_of, read, ready, received, refusal, rows, run_from

COLUMNS = "position, input_row, first_name, last_name, full_name, company, domain, email, extra::text"
PEOPLE = [
    {"first_name": "Ada", "last_name": "Ex", "domain": "www.beta.test", "Team": "x"},
    {"first_name": "Bo", "last_name": "Éx", "domain": "https://alpha.test/about", "Team": 'a "b" \\'},
    {"first_name": "Cy", "last_name": "Ex", "domain": "beta.test"},
    {"first_name": "Di", "last_name": "Ex", "email": "di@alpha.test"},
]


def as_csv(people: list[dict[str, str]]) -> bytes:
    names = ["first_name", "last_name", "domain", "email", "Team"]
    lines = [",".join('"' + person.get(name, "").replace('"', '""') + '"' for name in names) for person in people]
    return "\n".join([",".join(names), *lines, ""]).encode()


def contacts_of(database: Database, run_id: UUID) -> list[tuple[object, ...]]:
    return rows(database, f"SELECT {COLUMNS} FROM contacts WHERE run_id = :id ORDER BY position", id=run_id)


def test_its_contacts_are_those_of_a_body(database: Database, owner: UUID) -> None:
    from_upload = run_from(database, owner, ready(database, owner, as_csv(PEOPLE)))
    with database.transaction() as session:
        plan = order_of([ContactIn.model_validate(person) for person in PEOPLE])
        from_body = create_run(session, owner, plan, rate_card=RateCard())

    assert contacts_of(database, from_upload.run_id) == contacts_of(database, from_body.run_id)
    with database.transaction() as session:
        one, other = session.get_one(Run, from_upload.run_id), session.get_one(Run, from_body.run_id)
        for name in ("contact_count", "charged_contacts", "extra_columns", "charge_per_contact", "export_formats"):
            assert getattr(one, name) == getattr(other, name)


def test_each_different_contact_is_charged_once(database: Database, owner: UUID) -> None:
    run_from(database, owner, ready(database, owner, as_csv([*PEOPLE, *PEOPLE, {"first_name": "No"}])))

    with database.transaction() as session:
        assert count(session, "SELECT credit_balance FROM accounts") == 10_000 - 4 * 4


def test_an_account_that_cannot_pay_gets_no_run(database: Database) -> None:
    poor = account(database, credits_granted=3).account_id
    upload_id = ready(database, poor, as_csv(PEOPLE))

    with pytest.raises(InsufficientCredits, match="16 credits"):
        run_from(database, poor, upload_id)
    assert rows(database, "SELECT 1 FROM contacts") == []


def test_the_same_key_gives_the_same_run_even_when_the_upload_is_gone(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner)
    first = run_from(database, owner, upload_id, "key")
    rows(database, "UPDATE uploads SET discarded_at = now() RETURNING 1")

    again = run_from(database, owner, upload_id, "key")

    assert (again.run_id, again.is_new) == (first.run_id, False)
    with pytest.raises(IdempotencyConflict):
        run_from(database, owner, uuid4(), "key")


def test_several_runs_can_start_from_one_upload(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner)

    assert run_from(database, owner, upload_id).run_id != run_from(database, owner, upload_id).run_id


def test_another_account_cannot_start_a_run_from_it(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner)

    with pytest.raises(UnknownUpload):
        run_from(database, account(database).account_id, upload_id)


def test_what_is_not_read_gives_no_run(database: Database, owner: UUID) -> None:
    with pytest.raises(UploadConflict, match="not read yet"):
        run_from(database, owner, received(database, owner))
    with pytest.raises(UploadConflict, match="have arrived"):
        run_from(database, owner, received(database, owner, size=10_000))


def test_what_was_refused_gives_no_run(database: Database, owner: UUID) -> None:
    refusal(database, owner, b"colour\nred\n")
    [(upload_id,)] = rows(database, "SELECT id FROM uploads")

    with pytest.raises(InvalidInput, match="no usable columns"):
        run_from(database, owner, upload_id)


def test_it_must_be_read_for_the_preset_of_the_run(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner, b"email\na@a.test\n")

    with pytest.raises(InvalidInput, match="was read for full_pipeline"), database.transaction() as session:
        create_run(session, owner, plan_of(upload_id, "verify_existing_emails"), rate_card=RateCard())
    read(database, owner, upload_id, anew=Reading("verify_existing_emails"))
    with database.transaction() as session:
        assert create_run(session, owner, plan_of(upload_id, "verify_existing_emails"), rate_card=RateCard()).is_new


def test_an_upload_that_is_just_being_read_gives_no_run(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner)
    with database.transaction() as reading:
        lock_upload(reading, owner, upload_id)

        with pytest.raises(UploadConflict, match="just being read"):
            run_from(database, owner, upload_id)


def test_a_quote_counts_the_contacts_of_an_upload(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner, as_csv(PEOPLE))

    with database.transaction() as session:
        of_upload = expect(session, owner, plan_of(upload_id), find_upload(session, owner, upload_id))
        of_body = expect(session, owner, order_of([ContactIn.model_validate(person) for person in PEOPLE]))
    assert of_upload == of_body


def test_a_quote_ends_when_the_upload_is_read_in_another_way(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner)
    plan = plan_of(upload_id)
    with database.transaction() as session:
        digest = digest_with_upload(digest_of(plan), find_upload(session, owner, upload_id))
        token = issue(session, owner, digest, RateCard(), 15)[0]
    read(database, owner, upload_id, anew=Reading(mapping={"company": "Team"}))

    with pytest.raises(QuoteRefused, match="another goal_plan"), database.transaction() as session:
        create_run(session, owner, plan, rate_card=RateCard(), quote_token=token)


def test_a_retry_keeps_its_upload(database: Database, owner: UUID) -> None:
    upload_id = ready(database, owner)
    run_id = run_from(database, owner, upload_id).run_id
    with database.transaction() as session:
        lifecycle.cancel(session, owner, run_id)
    with database.transaction() as session:
        retried = retry_run(session, owner, run_id)

    assert rows(database, "SELECT upload_id FROM runs WHERE id = :id", id=retried.run_id) == [(upload_id,)]
