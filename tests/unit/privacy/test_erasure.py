"""What erasure removes beside contacts, and that it is safe while others are at work."""

import tracemalloc
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import Database
from models.run_chunk import COMPILE
from models.schema import new_id
from models.wire import ContactIn
from pipeline.credits import RateCard
from pipeline.errors import LeaseLost
from pipeline.lookup.providers.journal import Question
from pipeline.lookup.providers.source import Found, Person
from pipeline.lookup.search.recall import person_digest
from pipeline.memory import lookups, provider_answers
from pipeline.memory.provider_answers import Caps
from pipeline.privacy import erasure, suppressions
from pipeline.privacy.erasure import Wanted
from pipeline.runs import chunks, lifecycle
from pipeline.runs.create import create_run
from tests.factories import (
    LOOKUP,
    VERIFY,
    WORKER,
    account,
    count,
    finish_chunk,
    found,
    leased_chunk,
    named,
    not_found,
    order_of,
    owner_of,
    searched,
    started_run,
    valid,
)
from tests.old_runs import OldRuns, OvertakenDatabase, add_answer, all_rows

ADA = Person(full_name="ada ALDER", domain="alpha.test")


def wanted(*addresses: str) -> Wanted:
    who = Wanted()
    who.add_person(ADA)
    assert all(map(who.add_address, addresses))
    return who


def run_of_two(database: Database) -> UUID:
    """Ada Alder and Bea Birch; their look-up has begun."""
    people = [ContactIn(full_name=name, domain="alpha.test") for name in ("Ada Alder", "Bea Birch")]
    with database.transaction() as session:
        run_id = create_run(session, account(database).account_id, order_of(people), rate_card=RateCard()).run_id
        lifecycle.begin_stage(session, run_id, LOOKUP, WORKER, 2)
    return run_id


def erase(database: Database, run_id: UUID, who: Wanted | None = None) -> int:
    who = who or wanted()
    with database.transaction() as session:
        found = [contact.position for contact in erasure.read_batch(session, run_id, 0) if who.has(contact)]
    with database.transaction() as session:
        return erasure.erase_contacts(session, run_id, 0, found, who, new_id())[1]


def test_a_chunk_task_that_has_the_contact_in_hand_writes_nothing_of_it(database: Database) -> None:
    run_id = run_of_two(database)
    lease = leased_chunk(database, run_id)

    assert erase(database, run_id) == 1
    finish_chunk(database, lease, [found(0), found(1)])

    rows = all_rows(database)
    assert "given.family0" not in rows
    assert "Alder" not in rows
    assert "given.family1" in rows
    with database.transaction() as session:
        assert count(session, "SELECT done FROM run_stages WHERE stage = 'email_lookup'") == 2


def test_a_stage_that_has_not_begun_does_not_load_an_erased_contact(database: Database) -> None:
    run_id = run_of_two(database)
    finish_chunk(database, leased_chunk(database, run_id), [found(0), found(1)])
    erase(database, run_id)
    with database.transaction() as session:
        lifecycle.begin_stage(session, run_id, VERIFY, WORKER, 2)

    lease = leased_chunk(database, run_id, VERIFY)
    with database.transaction() as session:
        assert [contact.position for contact in chunks.load(session, lease).contacts] == [1]
    assert finish_chunk(database, lease, [valid(1)])


def test_compiling_that_is_under_way_begins_again(database: Database) -> None:
    run_id = run_of_two(database)
    finish_chunk(database, leased_chunk(database, run_id), [found(0), found(1)])
    with database.transaction() as session:
        lifecycle.begin_stage(session, run_id, VERIFY, WORKER, 2)
    finish_chunk(database, leased_chunk(database, run_id, VERIFY), [valid(0), valid(1)])
    with database.transaction() as session:
        lifecycle.begin_stage(session, run_id, COMPILE, WORKER, 1)
    compiling = leased_chunk(database, run_id, COMPILE)

    erase(database, run_id)

    with pytest.raises(LeaseLost), database.transaction() as session:
        lifecycle.complete(session, compiling, ())


def test_an_export_that_is_written_meanwhile_is_written_again(old_runs: OldRuns) -> None:
    run_id, who = old_runs.unexported_run("cancelled"), wanted("given.family0@alpha.test")

    old_runs.export(run_id, OvertakenDatabase(old_runs.database, lambda: erase(old_runs.database, run_id, who)))

    held = "".join((old_runs.exports / path).read_text() for path in old_runs.files() if path.suffix)
    assert "Given0" not in held
    assert "Given1" in held
    assert {handle["rows"] for handle in old_runs.state(run_id)["export_handles"]} == {2}


def test_an_address_in_a_column_of_the_clients_own_is_found(database: Database) -> None:
    run_id = run_of_two(database)
    with database.transaction() as session:
        session.execute(text("""UPDATE contacts SET extra = '{"x": "write to Ada+a@beta.test!"}' WHERE position = 1"""))
    who = Wanted()
    who.add_address("ada@beta.test")

    assert erase(database, run_id, who) == 1
    assert "beta.test" not in all_rows(database)


def test_addresses_are_found_in_any_field_of_any_text() -> None:
    texts = [
        "a\nada@beta.test",
        "<ada@beta.test>,x@y",
        "ada@beta.test@beta.test",
        f"{'x' * 500}@x ada@beta.test.",
        "[ada@beta.test|",
    ]

    assert ["ada@beta.test" in list(erasure.addresses_in(text)) for text in texts] == [True, True, True, True, False]


def test_what_is_found_while_the_contacts_are_looked_through_is_erased_too(database: Database) -> None:
    run_id, who = run_of_two(database), Wanted()
    who.add_address("given.family1@alpha.test")
    with database.transaction() as session:
        assert not list(filter(who.has, erasure.read_batch(session, run_id, 0)))
    finish_chunk(database, leased_chunk(database, run_id), [found(0), found(1)])

    with database.transaction() as session:
        assert erasure.erase_contacts(session, run_id, 0, [], who, new_id())[1] == 1

    assert "given.family1" not in all_rows(database)


def test_a_name_in_another_form_is_the_same_person_and_another_domain_is_not(database: Database) -> None:
    run_id = run_of_two(database)
    elsewhere, reversed_name = Wanted(), Wanted()
    elsewhere.add_person(Person(full_name="Ada Alder", domain="beta.test"))
    reversed_name.add_person(Person(full_name="ALDER, Ada", domain="alpha.test"))

    assert erase(database, run_id, elsewhere) == 0
    assert erase(database, run_id, reversed_name) == 1
    assert erase(database, run_id, reversed_name) == 0


def question(person: Person) -> Question:
    return Question("example", person.digest, 1, dead_after=60, may_ask_again=False, again_costs=1)  # type: ignore[arg-type]


def test_providers_answers_are_emptied_and_stay_counted(old_runs: OldRuns) -> None:
    run_id = old_runs.stopped_run("cancelled")
    with old_runs.database.transaction() as session:
        add_answer(session, run_id, days_ago=0)
        session.execute(text("UPDATE provider_answers SET cost = 0.25"))

    with old_runs.database.transaction() as session:
        assert (
            erasure.forget_answers(session, owner_of(old_runs.database, run_id), wanted("given.family@alpha.test")) == 1
        )

    with old_runs.database.transaction() as session:
        kept = "SELECT count(*) FROM provider_answers WHERE cost = 0.25 AND status = 'not_found' AND email IS NULL"
        assert count(session, kept) == 1


def test_however_many_answers_an_account_has_they_are_looked_through_a_few_at_a_time(old_runs: OldRuns) -> None:
    run_id = old_runs.stopped_run("cancelled")
    answers = (
        "INSERT INTO provider_answers (account_id, provider, question, run_id, answered_at, status, email) "
        "SELECT account_id, 'example', sha256(CAST(n AS text)::bytea), id, now(), 'found', 'a' || n || '@alpha.test' "
        "FROM runs, generate_series(1, 20000) n WHERE id = :run_id"
    )
    with old_runs.database.transaction() as session:
        session.execute(text(answers), {"run_id": run_id})

    with old_runs.database.transaction() as session:
        tracemalloc.start()
        assert erasure.forget_answers(session, owner_of(old_runs.database, run_id), wanted("a19999@alpha.test")) == 1
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert most < 4_000_000


def test_an_answer_that_comes_after_its_person_was_erased_is_not_written(old_runs: OldRuns) -> None:
    run_id = old_runs.stopped_run("cancelled")
    owner, asked = owner_of(old_runs.database, run_id), question(ADA)
    with old_runs.database.transaction() as session:
        provider_answers.reserve(session, owner, run_id, [asked], Caps())

    with old_runs.database.transaction() as session:
        assert erasure.forget_answers(session, owner, wanted()) == 1
    with old_runs.database.transaction() as session:
        provider_answers.record(session, owner, run_id, asked, Found("secret@alpha.test"))

    assert "secret@alpha.test" not in all_rows(old_runs.database)


def test_an_erased_persons_entries_hide_what_is_answered_about_them(old_runs: OldRuns) -> None:
    owner = owner_of(old_runs.database, old_runs.stopped_run("cancelled"))
    who = wanted("given.family0@alpha.test")
    with old_runs.database.transaction() as session:
        suppressions.add(session, owner, suppressions.entries_of(who.addresses, who.questions))

    with old_runs.database.transaction() as session:
        assert suppressions.hides(session, owner, ADA.digest, "other@alpha.test")
        assert suppressions.hides(session, owner, b"1" * 32, "Given.Family0+x@alpha.test")
        assert not suppressions.hides(session, owner, b"1" * 32, "other@alpha.test")


def test_kept_verdicts_on_their_addresses_are_deleted(database: Database) -> None:
    run_id = started_run(database, count=1)
    with database.transaction() as session:
        session.execute(
            text("""
            INSERT INTO verifications (account_id, address, status, reason, score, evidence)
            SELECT account_id, sha256('given.family0@alpha.test'), 'valid', 'mailbox_exists', 98, '{}' FROM runs
        """)
        )
        owner = owner_of(database, run_id)

    with database.transaction() as session:
        assert erasure.forget_verdicts(session, owner, wanted("Given.Family0@alpha.test")) == 1


def remember(session: Session, owner: UUID, position: int, name: str) -> None:
    outcome = searched(found(position), "alpha.test", person_digest("alpha.test", named(name)))
    lookups.remember_people(session, owner, [outcome])


def test_what_look_ups_found_out_about_them_is_deleted_by_name_and_by_address(database: Database) -> None:
    owner = account(database).account_id
    with database.transaction() as session:
        remember(session, owner, 0, "Ada Alder")
        remember(session, owner, 1, "Cleo Cedar")
        remember(session, owner, 2, "Dan Dogwood")

    with database.transaction() as session:
        assert erasure.forget_lookups(session, owner, wanted("Given.Family1@alpha.test")) == 2
        assert count(session, "SELECT count(*) FROM lookups") == 1


def test_look_ups_of_another_account_stay(database: Database) -> None:
    with database.transaction() as session:
        remember(session, account(database).account_id, 0, "Ada Alder")

    with database.transaction() as session:
        assert erasure.forget_lookups(session, account(database).account_id, wanted()) == 0


def test_a_chunk_task_that_has_the_contact_in_hand_learns_nothing_of_it(database: Database) -> None:
    run_id = run_of_two(database)
    lease = leased_chunk(database, run_id)
    erase(database, run_id)

    ada, bea = [person_digest("alpha.test", named(name)) for name in ("Ada Alder", "Bea Birch")]
    outcomes = [searched(not_found(0), "alpha.test", ada), searched(not_found(1), "alpha.test", bea)]
    finish_chunk(database, lease, outcomes)

    with database.transaction() as session:
        assert [bytes(person) for person in session.scalars(text("SELECT person FROM lookups"))] == [bea]


def test_a_look_up_at_a_domain_that_the_company_led_to_is_found_by_its_outcome(database: Database) -> None:
    run_id = run_of_two(database)
    digest = person_digest("elsewhere.test", named("Ada Alder"))
    outcomes = [searched(not_found(0), "elsewhere.test", digest), found(1)]
    finish_chunk(database, leased_chunk(database, run_id), outcomes)

    who = wanted()
    with database.transaction() as session:
        batch = erasure.read_batch(session, run_id, 0)
    for contact in filter(who.has, batch):
        who.learn(contact)

    with database.transaction() as session:
        assert erasure.forget_lookups(session, owner_of(database, run_id), who) == 1
