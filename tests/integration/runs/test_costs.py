"""What a run costs, counted: the table in docs/performance.md. More work than it says is a failure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text

from models.database import Database
from models.wire import ContactIn
from pipeline.credits import RateCard
from pipeline.runs.create import create_run
from sandbox.domains import Behaviour, Domain, invent_domains
from sandbox.internet import Internet
from sandbox.people import Person, invent_people
from tests.factories import LOOKUP, VERIFY, WORKER, account, order_of
from tests.integration.broker.worker_process import opened_process
from tests.integration.conftest import contacts_of
from worker.chain import work_chain_step
from worker.compile import compile_run
from worker.process import Process

SMALL, LARGE, CHUNK = 10, 1_000, 500
ROW = re.compile(r"^\| (?P<what>[^|]+) \| (?P<ten>[\d,.]+) \| (?P<thousand>[\d,.]+) \|$", re.MULTILINE)
MORE, LESS = 1.15, 1.5
"""More work is a failure; much less is a page out of date. A busy machine asks Redis for more places at once."""
CALLED_BY_SCRIPTS = {
    *("hget", "hset", "hmget", "pexpire", "publish", "time"),
    *("zadd", "zcount", "zrangebyscore", "zrem", "zremrangebyscore"),
}
OF_POSTGRES = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
STAGES = (LOOKUP, VERIFY)


@pytest.fixture(scope="module")
def domains() -> Sequence[Domain]:
    return [each for each in invent_domains(51, count=400) if each.behaviour is Behaviour.ORDINARY][:100]


@pytest.fixture(scope="module")
def people(domains: Sequence[Domain]) -> Sequence[Person]:
    return [*invent_people(51, SMALL, domains[:1]), *invent_people(52, LARGE, domains[1:])]


@pytest.fixture(scope="module")
def internet(people: Sequence[Person], domains: Sequence[Domain]) -> Iterator[Internet]:
    with Internet(people, domains) as running:
        yield running


@pytest.fixture
def process(
    internet: Internet, database_url: str, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Process]:
    """No turn is taken because time has passed: only because there is something to do."""
    settings = {
        **internet.settings(),
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "EXPORT_DIR": str(tmp_path),
        "CHUNK_SIZE": str(CHUNK),
        "CHECKPOINT_SECONDS": "5",
        "LEASE_SECONDS": "30",
    }
    with opened_process(settings, monkeypatch) as opened:
        yield opened


@pytest.fixture(scope="module")
def table(project_root: Path) -> Mapping[str, tuple[float, float]]:
    """The costs of a run of ten and of a thousand, as the page gives them."""
    page = (project_root / "docs" / "performance.md").read_text()
    section = page.partition("## What a run costs")[2].partition("\n## ")[0]
    return {row["what"]: (number(row["ten"]), number(row["thousand"])) for row in ROW.finditer(section)}


def number(written: str) -> float:
    return float(written.replace(",", ""))


def costs_of(process: Process, internet: Internet, database: Database, people: Sequence[Person]) -> Mapping[str, float]:
    """What the three steps of a run's chain cost. Nothing else uses the servers meanwhile."""
    contacts = [ContactIn.model_validate(contact) for contact in contacts_of(people)]
    owner = account(database, credits_granted=100_000).account_id
    with database.transaction() as session:
        run_id = create_run(session, owner, order_of(contacts), rate_card=RateCard()).run_id
    internet.reset_counts()
    process.redis.config_resetstat()
    wal_before = wal_of(database)
    with counted(process.database) as counts:
        work(process, run_id)
    return counts | {
        "WAL: bytes": wal_of(database) - wal_before,
        "Redis commands": commands_sent(process),
        "SMTP commands": sum(sum(host.commands.values()) for host in internet.counts.hosts.values()),
    }


def work(process: Process, run_id: UUID) -> None:
    for stage in STAGES:
        assert work_chain_step(process, run_id, stage, WORKER, extra_tasks=0)
    compile_run(process, run_id, WORKER)


@contextmanager
def counted(database: Database) -> Iterator[dict[str, float]]:
    """Counts what a process sends to Postgres, until the block ends."""
    counts = {"statements": 0.0, "transactions": 0.0}

    def note_statement(*_: Any) -> None:
        counts["statements"] += 1

    def note_commit(*_: Any) -> None:
        counts["transactions"] += 1

    event.listen(database.engine, "before_cursor_execute", note_statement)
    event.listen(database.engine, "commit", note_commit)
    yield counts
    event.remove(database.engine, "before_cursor_execute", note_statement)
    event.remove(database.engine, "commit", note_commit)


def commands_sent(process: Process) -> int:
    """The commands that Redis received. What a script calls counts as its one command."""
    stats = process.redis.info("commandstats")
    assert isinstance(stats, dict)
    names = {name.removeprefix("cmdstat_") for name in stats} - CALLED_BY_SCRIPTS - {"config|resetstat", "info"}
    return sum(stats[f"cmdstat_{name}"]["calls"] for name in names)


def wal_of(database: Database) -> int:
    with database.transaction() as session:
        return int(session.execute(text(OF_POSTGRES)).scalar_one())


def test_a_run_costs_what_the_page_says(
    process: Process,
    internet: Internet,
    database: Database,
    people: Sequence[Person],
    table: Mapping[str, tuple[float, float]],
) -> None:
    costs_of(process, internet, database, people[:1])
    ten = costs_of(process, internet, database, people[:SMALL])
    thousand = costs_of(process, internet, database, people[SMALL:])

    assert set(table) == set(ten) == set(thousand)
    assert {what: costs for what, costs in ten.items() if not about(costs, table[what][0])} == {}
    assert {what: costs for what, costs in thousand.items() if not about(costs, table[what][1])} == {}


def about(costs: float, said: float) -> bool:
    """Whether it costs what the page says. Turns and conversations fall a little differently each time."""
    return said / LESS <= costs <= said * MORE
