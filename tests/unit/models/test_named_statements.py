"""Hand-written SQL computes with numbers of any size: a driver may send a small one as a smallint."""

import ast
import importlib
import json
import pkgutil
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, TextClause, create_engine, text
from sqlalchemy.exc import DataError

from models.database import Database
from models.run import Run
from pipeline.runs.lifecycle import cancel
from tests.factories import LOOKUP, VERIFY, pending_run, started_run
from tests.test_architecture import PACKAGES, sources

EDGES = [edge + step for edge in (127, 32_767, 2_147_483_647) for step in (-1, 0, 1)]
PARAMETER = re.compile(r"(?<!:):\w")
LARGEST_POSITION = 2_147_483_647


def named_statements() -> Iterator[tuple[str, TextClause]]:
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            if ".migrations" not in module.name and not module.name.endswith("__main__"):
                statements = vars(importlib.import_module(module.name))
                yield from (
                    (f"{module.name}.{name}", value)
                    for name, value in statements.items()
                    if type(value) is TextClause  # not isinstance: Celery's proxies would load its configuration
                )


STATEMENTS = dict(named_statements())


@pytest.fixture
def ids(database: Database) -> Mapping[str, Any]:
    """A run with contacts at each edge that a position can have, a cancelled one to copy from, and their account."""
    old_id, new_id = started_run(database, count=3), pending_run(database, count=3)
    with database.transaction() as session:
        account_id = session.get_one(Run, new_id).account_id
        cancel(session, session.get_one(Run, old_id).account_id, old_id)
        session.execute(text("UPDATE runs SET contact_count = 2147483647, charged_contacts = 0"))
        session.execute(text("UPDATE run_stages SET total = 2147483647"))
        session.execute(text("DELETE FROM contacts WHERE run_id = :run_id"), {"run_id": new_id})
        for edge in EDGES[:-1]:
            session.execute(
                text(
                    "INSERT INTO contacts "
                    "(run_id, position, input_row, first_name, last_name, full_name, company, domain, extra) "
                    "VALUES (:run_id, :edge, :edge, 'Given', '', '', '', 'alpha.test', '{}')"
                ),
                {"run_id": new_id, "edge": edge},
            )
    runs = dict.fromkeys(("run_id", "new_id", "run"), new_id)
    return runs | {"old_id": old_id, "account": account_id, "account_id": account_id, "run_ids": [new_id]}


def values_of(ids: Mapping[str, Any], edge: int) -> dict[str, list[Any]]:
    """Values for each parameter. Positions that a statement writes are those that a contact can have."""
    position = min(edge, LARGEST_POSITION)
    outcome = {"position": position, "status": "found", "reason": "input", "email": "a@alpha.test", "score": 1}
    known = {"address": "00" * 32, "person": "00" * 32, "status": "valid", "reason": "", "score": 1}
    one = dict(ids) | {
        "upload_id": ids["run_id"], "start": edge, "content": b"x", "line": ",", "rows": [position],
        "stage": LOOKUP, "earlier_stage": VERIFY, "finding": LOOKUP, "judging": VERIFY,
        "stages": [LOOKUP], "statuses": "{}", "reason": "suppressed", "kind": "resent",
        "positions": [position], "domains": ["alpha.test"], "may_pass": ["greylisted"], "lock": edge, "days": 30,
        "milliseconds": edge, "statement_ms": position, "lock_ms": position, "idle_timeout": "5s",
        "addresses": [b"0" * 32], "more": 0, "valid": 30.0, "risky": 7.0, "invalid": 30.0,
        "outcomes": json.dumps([outcome | {"evidence": {}}]),
        "deferrals": json.dumps([{"position": position, "seconds": edge, "reason": ""}]),
        "verdicts": json.dumps([known | {"evidence": {}}]),
        "kept": json.dumps([known | {"evidence": {}}]), "people": [b"0" * 32], "digests": [b"0" * 8],
        "numbers": [position], "tokens": [edge], "worked": [True], "worker": "worker-1@test/1", "seconds": 30.0,
        "patterns": ["first"], "confirmed": [edge], "refused": [edge],
        "email_statuses": ["valid"], "email_reason": "catch_all", "since": datetime.now(UTC), "most": edge,
        "reasons": ["blocked"], "preset": "full_pipeline", "runs": edge, "tables": ["contacts"],
        "from_id": ids["run_id"], "beyond_id": ids["run_id"],
        "hooks": [ids["run_id"]], "counts": [edge], "per_hook": edge, "ids": [ids["run_id"]],
    }  # fmt: skip
    counts = {"first": [edge - 1, edge], "last": [edge], "after": [edge], "reach": [250, 2000, edge], "count": [edge]}
    return {name: [value] for name, value in one.items()} | counts | {"contacts": [edge], "size": [edge - 1, edge]}


@pytest.fixture(params=["as the driver chooses", "as the engine does"])
def engine(request: pytest.FixtureRequest, database: Database) -> Iterator[Engine]:
    """Sends integers as the engine does, or in the smallest type that holds them."""
    plain = create_engine(database.engine.url)
    yield database.engine if request.param == "as the engine does" else plain
    plain.dispose()


def test_no_statement_overflows(engine: Engine, ids: Mapping[str, Any]) -> None:
    overflowing = {
        f"{name} with {error.params}: {error.orig}"
        for name, statement in STATEMENTS.items()
        for edge in EDGES
        for error in errors_of(engine, statement, values_of(ids, edge))
    }

    assert overflowing == set()


def errors_of(engine: Engine, statement: TextClause, values: Mapping[str, list[Any]]) -> Iterator[DataError]:
    parameters = statement.compile().params
    for chosen in product(*(values[parameter] for parameter in parameters)):
        try:
            with engine.connect() as connection:
                connection.execute(statement, dict(zip(parameters, chosen, strict=True))).close()
        except DataError as error:
            yield error


def test_integers_are_sent_as_bigint(database: Database) -> None:
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT pg_typeof(:number)::text"), {"number": 1}).scalar_one() == "bigint"


def test_each_statement_with_parameters_has_a_name(project_root: Path) -> None:
    """So that the test above finds it."""
    inside = [
        f"{path}:{call.lineno}"
        for path, source in sources(project_root)
        if "/migrations/" not in path
        for function in ast.walk(ast.parse(source))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "text"
        if not (isinstance(call.args[0], ast.Constant) and not PARAMETER.search(call.args[0].value))
    ]

    assert inside == [], "write it as a constant of its module: NAME = text(...)"
