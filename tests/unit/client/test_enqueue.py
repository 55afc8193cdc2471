"""A program that shares the database creates runs in its own transaction, as the API does."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID, uuid4

import django
import django.conf
import django.db
import pg8000.dbapi
import psycopg
import psycopg2
import pytest
from alembic import command
from psycopg.rows import dict_row
from psycopg2.extras import RealDictCursor
from pydantic import ValidationError
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from growth_client import Conflict, InsufficientCredits, Invalid, NotFound, Unavailable
from growth_client.enqueue import CreatedRun, create_run
from models.database import Database
from models.migrate import alembic_config, migrate
from models.wire import GoalPlan
from pipeline.credits import RateCard
from pipeline.ledger import prove
from pipeline.outcomes import Outcome
from pipeline.runs import lifecycle
from pipeline.runs.create import create_run as create_run_in_python
from pipeline.runs.intake_rules import publish, rules_of
from pipeline.runs.retry import retry_run
from tests.factories import account, count, finish_chunk, found, leased_chunk, not_found
from tests.unit.runs.test_repeats import FIVE

GRACE = {"full_name": "Grace Hopper", "domain": "alpha.test"}
RULES = rules_of(RateCard(), 100_000, knows_companies=False)


@pytest.fixture(autouse=True)
def rules(database: Database) -> None:
    with database.transaction() as session:
        publish(session, RULES)


@pytest.fixture
def owner(database: Database) -> UUID:
    return account(database).account_id


def dsn(database: Database) -> str:
    return database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def of_psycopg(database: Database) -> Iterator[Any]:
    with psycopg.connect(dsn(database)) as connection:
        yield connection


@contextmanager
def of_psycopg_with_dictionaries(database: Database) -> Iterator[Any]:
    with psycopg.connect(dsn(database), row_factory=dict_row) as connection:
        yield connection


@contextmanager
def of_psycopg2(database: Database) -> Iterator[Any]:
    with closing(psycopg2.connect(dsn(database))) as connection, connection:
        yield connection


@contextmanager
def of_psycopg2_with_dictionaries(database: Database) -> Iterator[Any]:
    with closing(psycopg2.connect(dsn(database), cursor_factory=RealDictCursor)) as connection, connection:
        yield connection


def opened_by_pg8000(database: Database) -> pg8000.dbapi.Connection:
    parts = psycopg.conninfo.conninfo_to_dict(dsn(database))
    host, port = parts.get("host", "localhost"), parts.get("port", 5432)
    place = {"unix_sock": f"{host}/.s.PGSQL.{port}"} if host.startswith("/") else {"host": host, "port": int(port)}
    return pg8000.dbapi.connect(parts["user"], database=parts["dbname"], password=parts.get("password"), **place)


@contextmanager
def of_pg8000(database: Database) -> Iterator[Any]:
    with closing(opened_by_pg8000(database)) as connection, _commits(connection):
        yield connection


@contextmanager
def of_sqlalchemy_on(driver: str, connect: Callable[[], Any]) -> Iterator[Any]:
    engine = create_engine(f"postgresql+{driver}://", creator=connect, poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def of_sqlalchemy_on_psycopg2(database: Database) -> Any:
    return of_sqlalchemy_on("psycopg2", lambda: psycopg2.connect(dsn(database)))


def of_sqlalchemy_on_pg8000(database: Database) -> Any:
    return of_sqlalchemy_on("pg8000", lambda: opened_by_pg8000(database))


@contextmanager
def of_sqlalchemy(database: Database) -> Iterator[Any]:
    with database.engine.begin() as connection:
        yield connection


@contextmanager
def of_a_session(database: Database) -> Iterator[Any]:
    with Session(database.engine) as session, session.begin():
        yield session


@contextmanager
def of_django(database: Database) -> Iterator[Any]:
    parts = psycopg.conninfo.conninfo_to_dict(dsn(database))
    if not django.conf.settings.configured:
        django.conf.settings.configure(USE_TZ=True)
        django.setup()
    settings = {
        "ENGINE": "django.db.backends.postgresql", "NAME": parts["dbname"], "USER": parts.get("user", ""),
        "PASSWORD": parts.get("password", ""), "HOST": parts.get("host", ""), "PORT": parts.get("port", ""),
    }  # fmt: skip
    connection = django.db.utils.ConnectionHandler({"default": settings})["default"]
    try:
        connection.set_autocommit(False)
        with _commits(connection):
            yield connection
    finally:
        connection.close()


@contextmanager
def _commits(connection: Any) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


WAYS = [
    of_psycopg, of_psycopg_with_dictionaries, of_psycopg2, of_psycopg2_with_dictionaries, of_pg8000,
    of_sqlalchemy, of_a_session, of_sqlalchemy_on_psycopg2, of_sqlalchemy_on_pg8000, of_django,
]  # fmt: skip
Way = Callable[[Database], Any]


def created(database: Database, owner: UUID | str, contacts: Sequence[Mapping[str, Any]], **options: Any) -> CreatedRun:
    with of_psycopg(database) as connection:
        return create_run(connection, owner, contacts, **options)


@pytest.mark.parametrize("way", WAYS)
def test_a_run_is_there_when_the_caller_commits(way: Way, database: Database, owner: UUID) -> None:
    with way(database) as connection:
        run = create_run(connection, owner, [GRACE])

    assert run.is_new
    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM runs WHERE id = :id", id=run.run_id) == 1


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_there_when_the_caller_changes_its_mind(way: Way, database: Database, owner: UUID) -> None:
    with pytest.raises(RuntimeError, match="another mind"), way(database) as connection:
        create_run(connection, owner, [GRACE])
        raise RuntimeError("another mind")

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM runs") == 0
        assert count(session, "SELECT count(*) FROM credit_ledger WHERE kind = 'charge'") == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_refusal_is_an_error_of_the_client_with_the_engines_sentence(
    way: Way, database: Database, owner: UUID
) -> None:
    too_many = [GRACE] * 10_000
    sentence = r"^This run costs 40000 credits \(10000 contacts at 4\), and the account has 10000: [^\n]*\.$"

    with pytest.raises(InsufficientCredits, match=sentence), way(database) as connection:
        create_run(connection, owner, too_many)


ROWS = [
    {"full_name": "Grace Hopper", "domain": "beta.test", "crm_id": 7, "note": 'tab\there, "quote" and \\ backslash ü'},
    {
        "first_name": "Ada",
        "last_name": "Byrne",
        "company": "Alpha",
        "domain": "https://www.Alpha.test/about",
        "z": None,
    },
    {"email": "bo.ek@alpha.test", "a": {"deep": [1, 2.5, "x"]}, "crm_id": "8"},
    {"full_name": "Chi Do", "domain": "ALPHA.test", "first_name": None},
]
OF_RUN = """
SELECT pipeline_id, preset, status, contact_count, charged_contacts, extra_columns, required_fields, preview_rows,
       export_formats, fresh, charge_per_contact, rebate_per_unresolved, rebate_per_unverified,
       (SELECT jsonb_object_agg(stage, jsonb_build_array(ordinal, total)) FROM run_stages WHERE run_id = r.id),
       (SELECT jsonb_agg(jsonb_build_array(kind, detail)) FROM run_events WHERE run_id = r.id),
       (SELECT jsonb_agg(jsonb_build_array(credits, held, kind)) FROM credit_ledger WHERE run_id = r.id)
FROM runs r WHERE id = :id
"""
OF_CONTACTS = """
SELECT position, input_row, first_name, last_name, full_name, company, domain, email, extra::jsonb
FROM contacts WHERE run_id = :id ORDER BY position
"""


@pytest.mark.parametrize(
    "output", [None, {"required_fields": [], "preview_rows": 3, "export_formats": ["parquet"], "fresh": True}]
)
def test_the_rows_are_those_that_the_api_writes(database: Database, owner: UUID, output: Any) -> None:
    run = created(database, owner, ROWS, output=output)
    plan = GoalPlan.model_validate(
        {
            "pipeline_id": "email_discovery_v1",
            "preset": "full_pipeline",
            "input_assets": {"contacts": ROWS},
            **({"output": output} if output else {}),
        }
    )
    with database.transaction() as session:
        other = create_run_in_python(session, owner, plan, rate_card=RateCard()).run_id

    with database.transaction() as session:
        for query in (OF_RUN, OF_CONTACTS):
            one, two = (session.execute(text(query), {"id": each}).all() for each in (run.run_id, other))
            assert one == two


def test_the_columns_of_the_caller_keep_their_order(database: Database, owner: UUID) -> None:
    created(database, owner, ROWS)

    with database.transaction() as session:
        texts = session.scalars(text("SELECT extra::text FROM contacts ORDER BY input_row")).all()
        names = session.scalar(text("SELECT extra_columns FROM runs"))
    assert [list(json.loads(each)) for each in texts] == [["crm_id", "note"], ["z"], ["a", "crm_id"], []]
    assert names == ["crm_id", "note", "z", "a"]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


CONTACTS: Mapping[str, Any] = {
    "nothing": {},
    "no domain": {"full_name": "Grace Hopper"},
    "a blank domain": GRACE | {"domain": "  "},
    "half a name": {"first_name": "Grace", "domain": "alpha.test"},
    "a number": GRACE | {"domain": 7},
    "a list": GRACE | {"company": []},
    "a long name": GRACE | {"company": "x" * 201},
    "a name of 200": GRACE | {"company": "ü" * 200},
    "a long domain": GRACE | {"domain": "x" * 321},
    "a control character": GRACE | {"full_name": "Grace\x07"},
    "a tab": GRACE | {"full_name": "Grace\tHopper"},
    "a NUL": GRACE | {"note": "a\x00b"},
    "half a pair": GRACE | {"note": "\ud800"},
    "100 columns": GRACE | {f"c{n}": n for n in range(100)},
    "101 columns": GRACE | {f"c{n}": n for n in range(101)},
    "a column's long name": GRACE | {"c" * 201: 1},
    "much text": GRACE | {"note": "x" * 19_980},
    "too much text": GRACE | {"note": "x" * 20_001},
    "20 levels": GRACE | {"note": deep(20)},
    "21 levels": GRACE | {"note": deep(21)},
    "100 digits": GRACE | {"note": 10**99},
    "101 digits": GRACE | {"note": 10**100},
    "digits in a text": GRACE | {"note": "1" * 500},
    "1000 values": GRACE | {"note": list(range(1_000))},
    "1001 values": GRACE | {"note": list(range(1_001))},
    "an address": {"email": "grace@alpha.test"},
    "a company": {"full_name": "Grace Hopper", "company": "Alpha"},
    "null": {"full_name": "Grace Hopper", "domain": "alpha.test", "first_name": None, "email": None},
}


@pytest.mark.parametrize("preset", ["full_pipeline", "verify_existing_emails"])
@pytest.mark.parametrize("contact", CONTACTS.values(), ids=CONTACTS)
def test_a_contact_is_refused_if_and_only_if_the_api_refuses_it(
    database: Database, owner: UUID, contact: Mapping[str, Any], preset: Any
) -> None:
    plan = {"pipeline_id": "email_discovery_v1", "preset": preset, "input_assets": {"contacts": [contact]}}
    try:
        GoalPlan.model_validate(plan)
    except ValidationError:
        with pytest.raises(Invalid):
            created(database, owner, [contact], preset=preset)
    else:
        assert created(database, owner, [contact], preset=preset).is_new


def created_from_text(database: Database, owner: UUID, contact: str) -> UUID:
    """As a program does that calls the function itself, with JSON that Python's own writer never makes."""
    plan = (
        '{"pipeline_id": "email_discovery_v1", "preset": "full_pipeline",'
        f' "input_assets": {{"contacts": [{json.dumps(GRACE)}, {contact}]}}}}'
    )
    with of_psycopg(database) as connection:
        run_id: UUID = connection.execute(
            "SELECT created_run FROM growth_create_run(%s, CAST(%s AS json))", (owner, plan)
        ).fetchone()[0]
    return run_id


OF_GRACE = json.dumps(GRACE)[1:-1]


@pytest.mark.parametrize(
    ("further", "problem"),
    [
        ('"note": ' + "[" * 3_000 + "]" * 3_000 + ', "note": 1', "a name is there twice: send each once"),
        ('"note": "' + "x" * 250_000 + '", "note": 1', "a name is there twice: send each once"),
        ('"note": {"a": ' + "9" * 5_000 + ', "a": 1}', "a name is there twice: send each once"),
        ('"n:\\"": 1, "\\u006e:\\"": 2', "a name is there twice: send each once"),
        ('"domain": "beta.test"', "a name is there twice: send each once"),
        ('"note": [' + " " * 300_000 + "1]", "its JSON has more than 300000 characters: send less"),
    ],
    ids=["deep", "long", "within", "written otherwise", "a field", "white space"],
)
def test_nothing_of_a_contact_is_stored_that_was_not_measured(
    database: Database, owner: UUID, further: str, problem: str
) -> None:
    with pytest.raises(psycopg.Error, match=f"^contact 2: {problem}") as refused:
        created_from_text(database, owner, f"{{{OF_GRACE}, {further}}}")

    assert refused.value.sqlstate == "GR422"


def test_colons_and_quotes_in_texts_are_no_names(database: Database, owner: UUID) -> None:
    value = '{"a": "x\\": \\"y", "\\u003a": ["\\\\", ":"], "b" : -0.0}'

    run_id = created_from_text(database, owner, f'{{{OF_GRACE}, "note": {value}}}')

    with database.transaction() as session:
        kept = session.scalar(
            text("SELECT extra->>'note' FROM contacts WHERE run_id = :id AND input_row = 1"), {"id": run_id}
        )
    assert kept == value


def test_whoever_may_make_runs_in_sql_still_may_after_the_function_is_replaced(database: Database) -> None:
    role = f"shop_{uuid4().hex}"
    may = text(f"SELECT has_function_privilege('{role}', 'growth_create_run(uuid, json, text)', 'EXECUTE')")
    with database.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role}"))
        connection.execute(text(f"GRANT EXECUTE ON FUNCTION growth_create_run TO {role}"))
    try:
        with database.engine.begin() as connection:
            command.downgrade(alembic_config(connection), "0029")
        migrate(database)
        with database.transaction() as session:
            assert session.scalar(may)
    finally:
        with database.transaction() as session:
            session.execute(text(f"DROP OWNED BY {role}"))
            session.execute(text(f"DROP ROLE {role}"))


OUTPUTS: list[Any] = [
    {"required_fields": ["email", "domain"]}, {"required_fields": ["phone"]}, {"required_fields": ["email", "email"]},
    {"required_fields": "email"}, {"preview_rows": 100}, {"preview_rows": 101}, {"preview_rows": -1},
    {"preview_rows": 1.5}, {"preview_rows": "1"}, {"export_formats": []}, {"export_formats": ["csv", "excel_de"]},
    {"export_formats": ["doc"]}, {"export_formats": ["csv", "csv"]}, {"export_formats": [1]}, {"fresh": False},
    {"fresh": "yes"}, {"colour": "red"},
]  # fmt: skip


@pytest.mark.parametrize("output", OUTPUTS, ids=str)
def test_an_output_is_refused_if_and_only_if_the_api_refuses_it(database: Database, owner: UUID, output: Any) -> None:
    assets = {"contacts": [GRACE]}
    plan = {
        "pipeline_id": "email_discovery_v1", "preset": "full_pipeline", "input_assets": assets, "output": output,
    }  # fmt: skip
    try:
        GoalPlan.model_validate(plan)
    except ValidationError:
        with pytest.raises(Invalid):
            created(database, owner, [GRACE], output=output)
    else:
        assert created(database, owner, [GRACE], output=output).is_new


def test_the_first_ten_problems_are_named_with_their_contacts(database: Database, owner: UUID) -> None:
    bad = [GRACE, *({"full_name": "Grace"} for _ in range(30))]

    with pytest.raises(Invalid) as refused:
        created(database, owner, bad)

    problems = str(refused.value).split("; ")
    assert problems[0] == (
        "contact 2: a field is missing: it needs email, or domain and full_name, or domain and first_name and last_name"
    )
    assert [problem.partition(":")[0] for problem in problems] == [f"contact {n}" for n in range(2, 12)]


@pytest.mark.parametrize("contacts", [[], [GRACE] * 3])
def test_a_run_has_at_least_one_contact_and_not_more_than_the_operator_allows(
    database: Database, owner: UUID, contacts: Any
) -> None:
    with database.transaction() as session:
        publish(session, rules_of(RateCard(), 2, knows_companies=False))

    with pytest.raises(Invalid, match=r"no contacts|more contacts than the 2"):
        created(database, owner, contacts)


def test_the_operators_rates_and_companies_apply_as_soon_as_they_are_published(database: Database, owner: UUID) -> None:
    of_company = {"full_name": "Grace Hopper", "company": "Alpha"}
    with pytest.raises(Invalid):
        created(database, owner, [of_company])
    with database.transaction() as session:
        publish(session, rules_of(RateCard(7, 6, 5), 10, knows_companies=True))

    run = created(database, owner, [of_company])

    with database.transaction() as session:
        assert not prove(session).mistakes
        assert count(session, "SELECT held FROM credit_ledger WHERE run_id = :id", id=run.run_id) == 7


def test_an_account_that_does_not_exist_and_an_engine_that_never_ran_are_sentences(database: Database) -> None:
    for unknown in (uuid4(), "grace"):
        with pytest.raises(NotFound, match="no account with this id"):
            created(database, unknown, [GRACE])
    with database.transaction() as session:
        session.execute(text("DELETE FROM intake_rules"))
    with pytest.raises(Unavailable, match="start its sweeper once"):
        created(database, uuid4(), [GRACE])


def test_the_same_key_gives_the_same_run_and_charges_once(database: Database, owner: UUID) -> None:
    def attempt(_: int) -> CreatedRun:
        return created(database, owner, [GRACE], idempotency_key="order-1")

    with ThreadPoolExecutor(4) as clients:
        runs = list(clients.map(attempt, range(8)))

    assert len({run.run_id for run in runs}) == 1
    assert sum(run.is_new for run in runs) == 1
    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM credit_ledger WHERE kind = 'charge'") == 1
    with pytest.raises(Conflict, match="another body"):
        created(database, owner, [GRACE, GRACE], idempotency_key="order-1")


@pytest.mark.parametrize("key", ["", "x" * 256, "naïve", "a\nb"])
def test_a_key_that_is_none_is_a_sentence(database: Database, owner: UUID, key: str) -> None:
    with pytest.raises(Invalid, match="1 to 255 printable ASCII characters"):
        created(database, owner, [GRACE], idempotency_key=key)


def test_a_role_that_may_only_call_the_function_can_do_nothing_else(database: Database, owner: UUID) -> None:
    role = f"shop_{uuid4().hex}"
    with database.transaction() as session:
        session.execute(text(f"CREATE ROLE {role}"))
    try:
        with of_psycopg(database) as connection:
            connection.execute(f"SET ROLE {role}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                create_run(connection, owner, [GRACE])
            connection.execute("RESET ROLE")
            connection.execute(f"GRANT EXECUTE ON FUNCTION growth_create_run TO {role}")
            connection.execute(f"SET ROLE {role}")
            assert create_run(connection, owner, [GRACE]).is_new
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute("SELECT * FROM runs")
    finally:
        with database.transaction() as session:
            session.execute(text(f"DROP OWNED BY {role}"))
            session.execute(text(f"DROP ROLE {role}"))


def started(database: Database, owner: UUID) -> UUID:
    five = [each.model_dump(exclude_unset=True) for each in FIVE]
    run_id = created(database, owner, five).run_id
    with database.transaction() as session:
        assert lifecycle.begin_stage(session, run_id, "email_lookup", "worker", 10) is lifecycle.Beginning.WORK
    return run_id


def test_who_repeats_a_person_is_found_when_the_run_starts(database: Database, owner: UUID) -> None:
    run_id = started(database, owner)

    with database.transaction() as session:
        rows = session.scalars(
            text("SELECT input_row FROM contacts c, runs r WHERE run_id = r.id AND r.repeats @> to_jsonb(c.position)")
        ).all()
    assert run_id
    assert sorted(rows) == [3, 4]


@pytest.mark.parametrize(
    ("outcomes", "price"),
    [
        ([found(n) for n in range(5)], 12),
        ([not_found(n) for n in range(5)], 0),
    ],
    ids=["all found", "none found"],
)
def test_a_run_costs_each_person_once_in_the_end(
    database: Database, owner: UUID, outcomes: Sequence[Outcome], price: int
) -> None:
    run_id = started(database, owner)
    finish_chunk(database, leased_chunk(database, run_id), outcomes)

    with database.transaction() as session:
        run = lifecycle.cancel(session, owner, run_id)

    assert run.preview["pricing"] == {"charged_credits": 20, "rebate_credits": 20 - price, "net_credits": price}
    with database.transaction() as session:
        assert not prove(session).mistakes
        assert count(session, "SELECT credit_balance FROM accounts WHERE id = :id", id=owner) == 10_000 - price


def test_a_run_that_is_cancelled_before_it_starts_costs_nothing_and_can_be_retried(
    database: Database, owner: UUID
) -> None:
    run_id = created(database, owner, [each.model_dump(exclude_unset=True) for each in FIVE]).run_id
    with database.transaction() as session:
        lifecycle.cancel(session, owner, run_id)
        again = retry_run(session, owner, run_id).run_id
    with database.transaction() as session:
        lifecycle.begin_stage(session, again, "email_lookup", "worker", 10)
    finish_chunk(database, leased_chunk(database, again), [found(n) for n in range(5)])

    with database.transaction() as session:
        lifecycle.cancel(session, owner, again)

    with database.transaction() as session:
        assert not prove(session).mistakes
        assert count(session, "SELECT credit_balance FROM accounts WHERE id = :id", id=owner) == 10_000 - 12


def test_many_contacts_take_time_in_proportion(database: Database) -> None:
    owner = account(database, 1_000_000).account_id
    people = [{"full_name": f"Given{n} Family{n}", "domain": f"d{n % 997}.test", "crm_id": n} for n in range(20_000)]

    run = created(database, owner, people)

    with database.transaction() as session:
        assert count(session, "SELECT count(*) FROM contacts WHERE run_id = :id", id=run.run_id) == 20_000


def test_an_id_is_ordered_by_time_as_the_engines_are(database: Database) -> None:
    with database.transaction() as session:
        ids = session.scalars(text("SELECT growth_new_id() FROM generate_series(1, 3), pg_sleep(0.002)")).all()

    assert [each.version for each in ids] == [7, 7, 7]
    assert {str(each.variant) for each in ids} == {"specified in RFC 4122"}
