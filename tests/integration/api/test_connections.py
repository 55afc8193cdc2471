"""Connections to Postgres as in production: roles with unusual defaults, poolers, several hosts, other encodings."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from api.health import LastCheck
from models.connections import IN_THE_BACKGROUND, Timeouts
from models.database import Database, allow_time_for, copy_rows, open_database
from models.migrate import migrate
from models.postgres_errors import DatabaseUnusable, PostgresUnavailable
from models.queries import run_of_account
from pipeline.credits import RateCard
from pipeline.runs.create import create_run
from settings import load_settings
from tests.api_in_process import opened_api, send
from tests.clones import run_on_server, url_of
from tests.factories import account, contacts, finish_chunk, found, leased_chunk, order, started_run
from tests.pgbouncer import IS_INSTALLED, NOT_INSTALLED, PgBouncer, running_pgbouncer

needs_pgbouncer = pytest.mark.skipif(not IS_INSTALLED, reason=NOT_INSTALLED)
pytestmark = pytest.mark.proof

POOLERS = {"default settings": "", "unknown parameters ignored": "ignore_startup_parameters = options"}


@contextmanager
def opened(url: str, **options: Any) -> Iterator[Database]:
    database = open_database(url, **options)
    yield database
    database.close()


def setting(database: Database, name: str) -> str:
    with database.transaction() as session:
        return str(session.execute(text("SELECT current_setting(:name)"), {"name": name}).scalar_one())


def with_query(url: str, **query: str) -> str:
    return make_url(url).update_query_dict(query).render_as_string(hide_password=False)


@pytest.fixture(scope="module", params=POOLERS.values(), ids=POOLERS)
def pooler(request: pytest.FixtureRequest, postgres_url: str, servers_home: Path) -> Iterator[PgBouncer]:
    home = servers_home / f"pgbouncer-{uuid4().hex[:8]}"
    with running_pgbouncer(home, postgres_url, request.param) as running:
        yield running


ODD_DEFAULTS = {
    "DateStyle": "'SQL, DMY'",
    "IntervalStyle": "'sql_standard'",
    "TimeZone": "'Pacific/Chatham'",
    "default_transaction_isolation": "'serializable'",
    "client_encoding": "'LATIN1'",
    "statement_timeout": "'1s'",
    "lock_timeout": "'1s'",
    "transaction_timeout": "'5s'",
    "standard_conforming_strings": "off",
}


@pytest.fixture
def odd_database_url(postgres_url: str, database_url: str) -> str:
    """A database whose default settings differ from those that the engine needs."""
    name = make_url(database_url).database
    for parameter, value in ODD_DEFAULTS.items():
        run_on_server(postgres_url, f"ALTER DATABASE {name} SET {parameter} = {value}")
    return database_url


def assert_our_settings(database: Database) -> None:
    """Check all settings, and a run whose times are read as they were written."""
    shown = {name: setting(database, name) for name in ("TimeZone", "IntervalStyle", "client_encoding")}
    assert shown == {"TimeZone": "UTC", "IntervalStyle": "postgres", "client_encoding": "UTF8"}
    assert setting(database, "DateStyle").startswith("ISO")
    assert setting(database, "transaction_isolation") == "read committed"
    assert (setting(database, "statement_timeout"), setting(database, "lock_timeout")) == ("15s", "3s")
    assert setting(database, "idle_in_transaction_session_timeout") == "5s"
    assert (setting(database, "transaction_timeout"), setting(database, "standard_conforming_strings")) == ("0", "on")
    owner = account(database).account_id
    with database.transaction() as session:
        run_id = create_run(session, owner, order(3), rate_card=RateCard()).run_id
    with database.transaction() as session:
        run = run_of_account(session, run_id, owner)
        assert run is not None
        assert abs((datetime.now(UTC) - run.created_at).total_seconds()) < 600


def test_defaults_of_the_role_or_the_database_are_overridden(odd_database_url: str) -> None:
    with opened(odd_database_url) as database:
        assert_our_settings(database)


@needs_pgbouncer
def test_defaults_of_the_role_or_the_database_are_overridden_behind_a_pooler_too(
    odd_database_url: str, pooler: PgBouncer
) -> None:
    with opened(pooler.url_of(make_url(odd_database_url).database)) as database:
        assert_our_settings(database)


@needs_pgbouncer
def test_transactions_that_take_turns_behind_a_pooler_see_no_prepared_statement_of_another(
    database_url: str, pooler: PgBouncer
) -> None:
    url = pooler.url_of(make_url(database_url).database)
    with opened(url) as one, opened(url) as two:
        for _ in range(8):
            with one.transaction() as first, two.transaction() as second:
                for session in (first, second):
                    session.execute(text("SELECT count(*) FROM runs WHERE preset = :preset"), {"preset": "none"})
        with one.transaction() as session:
            assert session.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one() == 0


@needs_pgbouncer
def test_a_run_is_created_migrated_and_worked_behind_a_pooler(database_url: str, pooler: PgBouncer) -> None:
    with opened(pooler.url_of(make_url(database_url).database), timeouts=IN_THE_BACKGROUND) as database:
        migrate(database)
        run_id = started_run(database, count=2, chunk_size=2)
        assert finish_chunk(database, leased_chunk(database, run_id), [found(0), found(1)])


def test_a_direct_connection_sends_no_settings_with_each_transaction(database: Database) -> None:
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)

    setting(database, "lock_timeout")

    assert len(sent) == 1
    assert "set_config" not in sent[0]


def test_no_session_keeps_the_plan_of_a_statement(database: Database) -> None:
    """It would be from when the tables were nearly empty."""
    with database.transaction() as session:
        for _ in range(8):
            session.execute(text("SELECT count(*) FROM runs WHERE preset = :preset"), {"preset": "none"})
        assert session.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one() == 0


def test_options_of_the_url_are_kept_beside_ours(database_url: str) -> None:
    url = with_query(database_url, options='-c work_mem=7MB --search-path="a\\ b",public -cstatement_timeout=9s')
    with opened(url) as database:
        assert setting(database, "work_mem") == "7MB"
        assert setting(database, "search_path") == '"a b",public'
        assert (setting(database, "statement_timeout"), setting(database, "lock_timeout")) == ("9s", "3s")


@needs_pgbouncer
def test_options_of_the_url_are_kept_behind_a_pooler(database_url: str, pooler: PgBouncer) -> None:
    url = pooler.url_of(make_url(database_url).database)
    with opened(with_query(url, options="-c work_mem=7MB", search_path="elsewhere, public")) as database:
        assert setting(database, "work_mem") == "7MB"
        assert setting(database, "search_path") == "elsewhere, public"
        assert setting(database, "lock_timeout") == "3s"


def test_a_schema_of_its_own_is_migrated_and_used(database_url: str) -> None:
    run_on_server(database_url, "CREATE SCHEMA elsewhere")
    with opened(with_query(database_url, search_path="elsewhere")) as database:
        migrate(database)
        account(database)
        with database.transaction() as session:
            assert session.execute(text("SELECT count(*) FROM elsewhere.accounts")).scalar_one() == 1


def test_of_several_hosts_one_that_answers_is_used(database_url: str) -> None:
    url = make_url(database_url)
    socket = str(url.query["host"]).replace("/", "%2F")
    with opened(f"postgresql://{url.username}@127.0.0.1:9,{socket}:5432/{url.database}") as database:
        assert setting(database, "lock_timeout") == "3s"


def test_of_several_hosts_one_that_is_read_only_is_not_used(postgres_url: str, database_url: str) -> None:
    url = make_url(database_url)
    socket = str(url.query["host"]).replace("/", "%2F")
    run_on_server(postgres_url, f"ALTER DATABASE {url.database} SET default_transaction_read_only = on")
    with (
        opened(f"postgresql://{url.username}@{socket},{socket}/{url.database}") as database,
        pytest.raises(PostgresUnavailable) as caught,
    ):
        setting(database, "lock_timeout")
    assert "read-only" in caught.value.server_message


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://growth:p%40ss@db.example:5432/growth?sslmode=require",
        "postgres://db.example/growth",
        "postgresql+psycopg://db.example/growth",
        "postgresql://growth@[::1]:5432,[::2]:5433/growth",
        "postgresql://one.example,two.example/growth?target_session_attrs=any",
        "postgresql:///growth?host=one.example:1&host=two.example:2",
    ],
)
def test_a_url_as_libpq_or_sqlalchemy_write_it_is_accepted(url: str) -> None:
    open_database(url).close()


@pytest.mark.parametrize("url", ["postgresql://db.example:port/growth", "postgresql://one:1,two:x/growth?nothing=1"])
def test_an_unusable_url_ends_the_process_with_a_sentence(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    load_settings.cache_clear()

    with pytest.raises(SystemExit, match=r"^Setting DATABASE_URL is not usable: it"):
        load_settings()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_is_not_utf8_is_refused_with_a_sentence(postgres_url: str, encoding: str) -> None:
    name = f"in_{encoding.lower()}"
    run_on_server(postgres_url, f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    with (
        opened(url_of(postgres_url, name)) as database,
        pytest.raises(DatabaseUnusable, match=f"^The database's encoding is {encoding}, .* ENCODING 'UTF8'"),
    ):
        migrate(database)


def test_a_statement_may_take_longer_for_a_large_run_and_unlimited_stays_unlimited(database_url: str) -> None:
    with opened(database_url, timeouts=Timeouts(0.5, 3)) as database, database.transaction() as session:
        allow_time_for(session, 1000)
        assert session.execute(text("SHOW statement_timeout")).scalar_one() == "1s"
    with opened(database_url, timeouts=Timeouts(0, 3)) as database, database.transaction() as session:
        allow_time_for(session, 1000)
        assert session.execute(text("SHOW statement_timeout")).scalar_one() == "0"


def test_a_failed_copy_raises_the_same_error_as_a_statement_and_shows_no_row(database: Database) -> None:
    with pytest.raises(DBAPIError, match=r"NotNullViolation \(23502\)") as caught, database.transaction() as session:
        copy_rows(session, "COPY accounts (name) FROM STDIN", [["Grace Hopper"]])

    assert "Hopper" not in f"{caught.value} {caught.value.orig} {caught.value.__cause__}"


def test_a_copy_that_takes_too_long_counts_as_unavailable_postgres(database_url: str) -> None:
    with (
        opened(database_url, timeouts=Timeouts(0.05, 3)) as database,
        pytest.raises(PostgresUnavailable, match=r"^QueryCanceled \(57014\)$"),
        database.transaction() as session,
    ):
        session.execute(text("CREATE TEMP TABLE slow (n int DEFAULT length(pg_sleep(1)::text), name text)"))
        copy_rows(session, "COPY slow (name) FROM STDIN", [["Grace Hopper"]])


@pytest.fixture
def api(database_url: str, valkey_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FastAPI]:
    settings = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url, "EXPORT_DIR": str(tmp_path)}
    with opened_api(settings, monkeypatch) as app:
        yield app


def body(count: int = 2) -> dict[str, Any]:
    people = [person.model_dump() for person in contacts(count)]
    return {
        "goal_plan": {
            "pipeline_id": "email_discovery_v1",
            "preset": "full_pipeline",
            "input_assets": {"contacts": people},
        }
    }


@pytest.mark.usefixtures("api")
def test_no_thread_holds_the_interpreter_for_longer_than_a_millisecond() -> None:
    assert sys.getswitchinterval() <= 0.001


def readyz_checked_again(api: FastAPI) -> httpx.Response:
    """The response of `/readyz` when its last check is too old."""
    api.state.last_check = LastCheck()
    return send(api, "GET", "/readyz")


def test_a_server_that_became_read_only_is_a_503_and_reported_by_readyz(
    api: FastAPI, database: Database, postgres_url: str, database_url: str
) -> None:
    key = {"Authorization": f"Bearer {account(database).api_key}"}
    assert readyz_checked_again(api).status_code == 200
    name = make_url(database_url).database
    run_on_server(postgres_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    api.state.resources.database.close()

    refused = send(api, "POST", "/api/v1/growth/run", json=body(), headers=key)
    ready = readyz_checked_again(api)

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert (ready.status_code, ready.json()["postgres"].partition(":")[0]) == (503, "read-only")
    run_on_server(postgres_url, f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert readyz_checked_again(api).status_code == 200


def test_repeated_readiness_probes_cost_no_connection(api: FastAPI) -> None:
    seen = {"postgres": "ok", "redis": "as it was seen", "broker": "ok", "storage": "ok"}
    api.state.last_check = LastCheck(at=time.monotonic() + 60, checks=seen)

    assert send(api, "GET", "/readyz").json() == {"status": "ok", **seen}


def test_a_request_that_waits_for_a_lock_is_a_503_with_retry_after(api: FastAPI, database: Database) -> None:
    owner = account(database)
    with database.transaction() as session:
        session.execute(text("SELECT FROM accounts WHERE id = :id FOR UPDATE"), {"id": owner.account_id})

        key = {"Authorization": f"Bearer {owner.api_key}"}
        refused = send(api, "POST", "/api/v1/growth/run", json=body(), headers=key)

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")


@pytest.mark.parametrize(("sqlstate", "status"), [("22021", 422), ("54000", 422), ("XX000", 500), ("53100", 503)])
def test_an_error_of_postgres_is_422_if_the_client_caused_it(
    api: FastAPI, database: Database, database_url: str, sqlstate: str, status: int
) -> None:
    run_on_server(
        database_url,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'Given Family' USING ERRCODE = '{sqlstate}'; END $$",
    )
    run_on_server(database_url, "CREATE TRIGGER refuse BEFORE INSERT ON runs EXECUTE FUNCTION refuse()")

    key = {"Authorization": f"Bearer {account(database).api_key}"}
    refused = send(api, "POST", "/api/v1/growth/run", json=body(), headers=key)

    assert refused.status_code == status
    assert "Given" not in refused.text
