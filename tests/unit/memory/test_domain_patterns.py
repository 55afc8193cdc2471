"""What runs teach about domains and people, as Postgres keeps it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

import pytest
from sqlalchemy import text

from models.database import Database
from pipeline.contacts import Contact, PatternCount
from pipeline.lookup.names.parse import Name, parse_name
from pipeline.lookup.search.recall import domain_digest, person_digest
from pipeline.memory import lookups
from pipeline.memory.domain_patterns import HALF_LIFE_DAYS, known_patterns, learn_patterns
from pipeline.memory.lookups import FRESH_DAYS, known_people, remember_people
from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from pipeline.privacy.retention import delete_lookups
from pipeline.runs import chunks
from tests.factories import count, finish_chunk, found, leased_chunk, pending_run, searched, started_run

ALPHA = "alpha.test"


def not_found(position: int, *refused: str, domain: str = ALPHA) -> Outcome:
    outcome = Outcome(position, OutcomeStatus.NOT_FOUND, Reason.EVERY_CANDIDATE_REFUSED)
    return searched(outcome, domain, b"", *refused)


def learn(database: Database, outcomes: Sequence[Outcome]) -> None:
    with database.transaction() as session:
        learn_patterns(session, outcomes)


def known(database: Database, domain: str = ALPHA) -> dict[str, PatternCount]:
    with database.transaction() as session:
        return {count.pattern: count for count in known_patterns(session, [domain]).get(domain, ())}


def let_pass(database: Database, table: str, column: str, days: float) -> None:
    with database.transaction() as session:
        session.execute(text(f"UPDATE {table} SET {column} = {column} - make_interval(secs => {86_400 * days})"))


def test_confirmations_and_refusals_of_a_pattern_are_counted_apart(database: Database) -> None:
    learn(database, [found(0), found(1), not_found(2, "first.last", "flast")])
    learn(database, [not_found(3, "flast")])

    patterns = known(database)

    assert patterns["first.last"] == PatternCount("first.last", pytest.approx(2), pytest.approx(1))  # type: ignore[arg-type]
    assert patterns["flast"] == PatternCount("flast", 0, pytest.approx(2))  # type: ignore[arg-type]


@pytest.mark.parametrize(("half_lives", "left"), [(1, 2), (2, 1), (4, 0.25)])
def test_what_is_known_fades_by_half_in_each_half_life(database: Database, half_lives: int, left: float) -> None:
    learn(database, [found(position) for position in range(4)])

    let_pass(database, "domain_patterns", "updated_at", half_lives * HALF_LIFE_DAYS)

    assert known(database)["first.last"].confirmed == pytest.approx(left)


def test_what_is_new_is_added_to_what_is_left(database: Database) -> None:
    learn(database, [found(position) for position in range(4)])
    let_pass(database, "domain_patterns", "updated_at", HALF_LIFE_DAYS)

    learn(database, [found(9)])

    assert known(database)["first.last"].confirmed == pytest.approx(3)


def test_chunk_tasks_that_learn_about_the_same_domains_in_different_orders_lose_nothing(database: Database) -> None:
    domains = [f"d{number}.test" for number in range(20)]
    lessons = [[found(0, domain) for domain in order] for order in (domains, domains[::-1])] * 10

    with ThreadPoolExecutor(max_workers=4) as chunk_tasks:
        list(chunk_tasks.map(lambda outcomes: learn(database, outcomes), lessons))

    assert [known(database, domain)["first.last"].confirmed for domain in domains] == [pytest.approx(20)] * 20


# People

GRACE = Contact(0, full_name="Grace Hopper", domain=ALPHA)


def grace_found() -> Outcome:
    name = parse_name(full_name=GRACE.full_name)
    assert name is not None
    outcome = found(0)._replace(email=f"ghopper@{ALPHA}")
    return searched(outcome, ALPHA, person_digest(ALPHA, name))


def remembered(database: Database, run_id: UUID) -> int:
    with database.transaction() as session:
        return len(known_people(session, run_id, [GRACE]))


@pytest.fixture
def finder(database: Database, owner: UUID) -> UUID:
    """An account whose run found Grace."""
    with database.transaction() as session:
        remember_people(session, owner, [grace_found(), grace_found()])
    return owner


def test_a_later_run_of_the_account_knows_whom_it_found(database: Database, finder: UUID) -> None:
    assert remembered(database, pending_run(database, account_id=finder)) == 1


def test_another_account_does_not_know_them(database: Database, finder: UUID) -> None:
    assert remembered(database, pending_run(database)) == 0


def test_an_old_look_up_is_not_used_and_is_deleted(database: Database, finder: UUID) -> None:
    let_pass(database, "lookups", "asked_at", FRESH_DAYS + 1)

    assert remembered(database, pending_run(database, account_id=finder)) == 0
    with database.transaction() as session:
        assert delete_lookups(session, FRESH_DAYS) == 1


def test_names_are_parsed_only_where_somebody_of_the_domain_was_looked_up(
    database: Database, finder: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsing a name takes longer than everything else that loading does for a contact."""
    parsed = []

    def parse(**fields: str) -> Name | None:
        parsed.append(fields["full_name"])
        return parse_name(**fields)

    monkeypatch.setattr(lookups, "parse_name", parse)
    others = [Contact(position, full_name="Ada Lovelace", domain=f"d{position}.test") for position in range(1, 5)]
    run_id, of_another_account = pending_run(database, account_id=finder), pending_run(database)

    with database.transaction() as session:
        assert len(known_people(session, run_id, [GRACE, *others])) == 1
        assert known_people(session, of_another_account, [GRACE, *others]) == {}

    assert parsed == ["Grace Hopper"]


def test_the_digests_of_a_domains_people_begin_alike_and_those_of_others_do_not() -> None:
    names = [name for full in ("Grace Hopper", "Ada Lovelace") if (name := parse_name(full_name=full))]
    of_alpha, of_beta = ([person_digest(domain, name) for name in names] for domain in (ALPHA, "beta.test"))

    assert len({*of_alpha, *of_beta}) == 4
    assert {digest[:8] for digest in of_alpha} == {domain_digest(ALPHA)}
    assert domain_digest(ALPHA) != domain_digest("beta.test")


def test_adjacent_chunks_that_are_loaded_at_once_know_their_neighbours_and_not_themselves(database: Database) -> None:
    """Three chunks of one domain: the first has given an address, the middle two are loaded as one span."""
    run_id = started_run(database, count=8, chunk_size=2)
    first, second, third = (leased_chunk(database, run_id) for _ in range(3))
    finish_chunk(database, first, [found(0), found(1)])
    span = replace(second, last_position=third.last_position)

    with database.transaction() as session:
        batch = chunks.load(session, span)

    assert [contact.position for contact in batch.contacts] == [2, 3, 4, 5]
    assert [contact.position for contact in batch.colleagues] == [6, 7]
    assert sorted(batch.taken) == [found(0).email, found(1).email]


def test_outcomes_of_several_chunks_are_remembered_in_one_call(database: Database, owner: UUID) -> None:
    """Also somebody who is in both of them."""
    outcomes = [grace_found(), *(searched(found(n), f"d{n % 3}.test", n.to_bytes(32)) for n in range(1, 7))]

    with database.transaction() as session:
        remember_people(session, owner, [*outcomes, grace_found()])
        learn_patterns(session, [*outcomes, grace_found()])

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM lookups") == 7
    assert known(database)["first.last"].confirmed == pytest.approx(8)


def test_neither_a_name_nor_an_address_is_kept(database: Database, finder: UUID) -> None:
    with database.transaction() as session:
        row = str(session.execute(text("SELECT to_jsonb(l) FROM lookups l")).scalar_one())

    assert "hopper" not in row.lower()


def test_what_a_chunk_records_is_known_to_the_next_chunk_that_is_loaded(database: Database) -> None:
    run_id = started_run(database, count=2, chunk_size=2)
    lease = leased_chunk(database, run_id)

    with database.transaction() as session:
        name = parse_name(first_name="Given0", last_name="Family0")
        assert name is not None
        chunks.record(session, lease, [searched(found(1), ALPHA, person_digest(ALPHA, name))], 30.0)
        assert person_digest(ALPHA, name) in chunks.load(session, lease).known_people
        assert count(session, "SELECT count(*) FROM lookups") == 1
