"""The suppression list: what it recognises, whose it is, and what is suppressed because of it."""

import hashlib
from uuid import UUID

import pytest

from models.database import Database
from models.run import Run
from models.wire import ContactIn
from pipeline.credits import Delivered, RateCard, rebate_of_completed
from pipeline.errors import InvalidInput
from pipeline.outcomes import OutcomeStatus, Reason
from pipeline.privacy import suppressions
from pipeline.runs import chunks, lifecycle
from pipeline.runs.create import create_run
from pipeline.runs.lifecycle import refreshed
from tests.factories import (
    LEASE_S,
    LOOKUP,
    VERIFY,
    WORKER,
    account,
    count,
    found,
    leased_chunk,
    order_of,
    searched,
    skipped,
    valid,
)
from tests.old_runs import all_rows


def put(database: Database, owner: UUID, *entries: str) -> int:
    with database.transaction() as session:
        return suppressions.add(session, owner, map(suppressions.parse_entry, entries))


def checked(database: Database, owner: UUID, entry: str) -> bool:
    with database.transaction() as session:
        return suppressions.check(session, owner, [suppressions.parse_entry(entry)])[0]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("grace@alpha.test", "Grace@Alpha.test"),
        ("grace@alpha.test", "grace+news@alpha.test"),
        ("grace+news@alpha.test", "grace@alpha.test"),
        ("g.r.a.c.e@gmail.com", "Grace+x@googlemail.com"),
        (sha256("grace@alpha.test"), "GRACE@alpha.test"),
        (sha256("grace+news@alpha.test"), "grace+news@alpha.test"),
        (sha256("grace@alpha.test").upper(), "grace+news@alpha.test"),
        ("alpha.test", "grace@alpha.test"),
        ("https://www.Alpha.test/about", "grace@mail.alpha.test"),
        ("*.alpha.test", "alpha.test"),
        ("@alpha.test", "mail.alpha.test"),
        (sha256("alpha.test"), "grace@alpha.test"),
        ("bücher.test", "grace@xn--bcher-kva.test"),
    ],
)
def test_an_entry_suppresses_each_spelling_of_what_it_means(
    database: Database, owner: UUID, entry: str, address: str
) -> None:
    put(database, owner, entry)

    assert checked(database, owner, address)


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("grace@alpha.test", "ada@alpha.test"),
        ("grace@alpha.test", "alpha.test"),
        ("g.race@alpha.test", "grace@alpha.test"),
        ("mail.alpha.test", "grace@alpha.test"),
        ("alpha.test", "grace@notalpha.test"),
    ],
)
def test_an_entry_suppresses_nothing_else(database: Database, owner: UUID, entry: str, address: str) -> None:
    put(database, owner, entry)

    assert not checked(database, owner, address)


@pytest.mark.parametrize("entry", ["", "grace", "grace@", "@", "not an@address@alpha.test", "abc123"])
def test_what_is_no_entry_is_refused_without_being_repeated(entry: str) -> None:
    with pytest.raises(InvalidInput, match="correct it") as refused:
        suppressions.parse_entry(entry)

    assert not entry or entry not in str(refused.value)


def test_nothing_but_hashes_is_kept(database: Database, owner: UUID) -> None:
    put(database, owner, "grace@alpha.test", "beta.test")

    assert not any(word in all_rows(database) for word in ("grace", "alpha", "beta"))


def test_a_list_applies_to_its_account_only(database: Database, owner: UUID) -> None:
    put(database, owner, "grace@alpha.test")

    assert not checked(database, account(database).account_id, "grace@alpha.test")


def test_adding_twice_counts_once_and_removing_ends_the_suppression(database: Database, owner: UUID) -> None:
    assert (put(database, owner, "grace@alpha.test"), put(database, owner, "GRACE+x@alpha.test")) == (1, 0)

    with database.transaction() as session:
        assert suppressions.remove(session, owner, [suppressions.parse_entry("grace@alpha.test")]) == 1

    assert not checked(database, owner, "grace@alpha.test")


def begun(database: Database, owner: UUID, people: int = 2) -> UUID:
    contacts = [ContactIn(first_name=f"Given{n}", last_name="F", domain="alpha.test") for n in range(people)]
    with database.transaction() as session:
        run_id = create_run(session, owner, order_of(contacts), rate_card=RateCard()).run_id
        lifecycle.begin_stage(session, run_id, LOOKUP, WORKER, people)
    return run_id


def test_an_address_put_on_the_list_while_it_is_found_is_not_written(database: Database, owner: UUID) -> None:
    lease = leased_chunk(database, begun(database, owner))
    put(database, owner, "given.family0@alpha.test")

    with database.transaction() as session:
        chunks.record(session, lease, [found(0), found(1)], LEASE_S)

    rows = all_rows(database)
    assert "given.family0" not in rows
    assert "given.family1" in rows


def test_nothing_is_learned_from_a_suppressed_contact(database: Database, owner: UUID) -> None:
    lease = leased_chunk(database, begun(database, owner))
    put(database, owner, "given.family0@alpha.test")
    outcome = searched(found(0), "alpha.test", b"p" * 32, "flast")

    with database.transaction() as session:
        chunks.record(session, lease, [outcome], LEASE_S)

    with database.transaction() as session:
        assert count(session, "SELECT (SELECT count(*) FROM lookups) + (SELECT count(*) FROM domain_patterns)") == 0


def test_an_address_put_on_the_list_between_the_stages_is_removed_and_paid_back(
    database: Database, owner: UUID
) -> None:
    run_id = begun(database, owner)
    lease = leased_chunk(database, run_id)
    with database.transaction() as session:
        chunks.finish(session, lease, [found(0), found(1)], LEASE_S)
        lifecycle.advance(session, run_id, LOOKUP, WORKER)
        lifecycle.begin_stage(session, run_id, VERIFY, WORKER, 2)
    put(database, owner, "given.family0@alpha.test")

    verifying = leased_chunk(database, run_id, VERIFY)
    with database.transaction() as session:
        chunks.record(session, verifying, [valid(0), valid(1)], LEASE_S)
        lifecycle.cancel(session, owner, run_id)
        report = refreshed(session, run_id).gap_report

    assert report["reasons"]["suppressed"]["count"] == 1
    assert "given.family0" not in all_rows(database)


def test_the_full_price_of_a_suppressed_contact_is_paid_back() -> None:
    run = Run(charge_per_contact=4, rebate_per_unresolved=1, rebate_per_unverified=0)

    assert rebate_of_completed(run, Delivered(contacts=2, with_email=0, verified=0, suppressed=1)) == 1 + 4


@pytest.mark.parametrize("status", [OutcomeStatus.NOT_FOUND, OutcomeStatus.SKIPPED])
def test_a_suppressed_contact_has_a_reason_of_its_own_and_the_stages_status(
    database: Database, owner: UUID, status: OutcomeStatus
) -> None:
    put(database, owner, "alpha.test")

    with database.transaction() as session:
        recorded = suppressions.suppress(session, owner, [valid(1), skipped(2)], status)

    assert [(each.status, each.reason, each.email) for each in recorded] == [
        (status, Reason.SUPPRESSED, None),
        (OutcomeStatus.SKIPPED, Reason.NO_EMAIL, None),
    ]
