"""A run from an upload that fails or is cancelled gives the file's rows back, with what was found until then."""

import csv
from typing import Any
from uuid import UUID

import pytest

from models.privacy_wire import PersonToErase
from models.transitions import RunError
from pipeline.errors import RunStateConflict
from pipeline.privacy.erase_people import erase_people
from pipeline.results.export_lease import add_formats, request_exports
from pipeline.runs import lifecycle
from tests.factories import LOOKUP, WORKER, account, finish_chunk, found, leased_chunk
from tests.old_runs import OldRuns
from tests.unit.uploads.uploading import PEOPLE, ready, run_from

OURS = ["email", "email_status", "email_reason", "email_score", "email_source"]
EXPORTS = ["contacts_csv", "contacts_json"]


def stopped(old_runs: OldRuns, how: str, **output: Any) -> tuple[UUID, UUID]:
    """An account and its run: of two people the first in the order of work was found when it was stopped."""
    owner = account(old_runs.database).account_id
    run_id = run_from(old_runs.database, owner, ready(old_runs.database, owner, PEOPLE), **output).run_id
    with old_runs.database.transaction() as session:
        lifecycle.begin_stage(session, run_id, LOOKUP, WORKER, 1)
    finish_chunk(old_runs.database, leased_chunk(old_runs.database, run_id, LOOKUP), [found(0)])
    with old_runs.database.transaction() as session:
        if how == "failed":
            lifecycle.fail(session, run_id, RunError("run_time_limit", "The run took longer than 48 hours.", None))
        else:
            lifecycle.cancel(session, owner, run_id)
    return owner, run_id


def handles(old_runs: OldRuns, run_id: UUID) -> dict[str, dict[str, Any]]:
    state = old_runs.state(run_id)
    assert state["artifact_handles"] == []
    return {handle["asset_id"]: handle for handle in state["export_handles"]}


def table(old_runs: OldRuns, run_id: UUID, name: str) -> list[list[str]]:
    with (old_runs.exports / str(run_id) / name).open(newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_each_row_of_the_file_comes_back_beside_the_exports(old_runs: OldRuns, how: str) -> None:
    _, run_id = stopped(old_runs, how)
    old_runs.export(run_id)

    listed = handles(old_runs, run_id)

    assert list(listed) == [*EXPORTS, "own_rows", "rejected_rows"]
    assert (listed["own_rows"]["rows"], listed["rejected_rows"]["rows"]) == (4, 1)
    header, ada, bo, ada_again, cy = table(old_runs, run_id, "own_rows.csv")
    assert header == ["First Name", "Last Name", "Website", "Team", *OURS]
    assert [row[:4] for row in (ada, bo, ada_again, cy)] == [
        line.split(",") for line in PEOPLE.decode().splitlines()[1:]
    ]
    assert ada[4] == ada_again[4] != ""
    assert bo[4:7] == ["", "", ""]
    assert cy[5:7] == ["rejected", "last_name: it is missing: give it, or full_name"]
    assert table(old_runs, run_id, "rejected_rows.csv")[1][:2] == ["5", "last_name"]


def test_a_run_without_exports_has_none_until_a_format_is_asked_for(old_runs: OldRuns) -> None:
    owner, run_id = stopped(old_runs, "cancelled", export_formats=[])
    assert handles(old_runs, run_id) == {}

    with old_runs.database.transaction() as session:
        add_formats(session, owner, run_id, ["ndjson"])
    old_runs.export(run_id)

    assert list(handles(old_runs, run_id)) == ["contacts_ndjson", "own_rows", "rejected_rows"]


def test_whoever_is_erased_is_gone_from_the_rows_that_are_written_again(old_runs: OldRuns) -> None:
    owner, run_id = stopped(old_runs, "cancelled")
    old_runs.export(run_id)
    before = handles(old_runs, run_id)["own_rows"]

    ada = PersonToErase(first_name="Ada", last_name="Ex", domain="alpha.test")
    erase_people(old_runs.database, owner, [ada], suppress=False, on_change=lambda _: None)
    old_runs.publish(run_id)
    meanwhile = handles(old_runs, run_id)
    old_runs.export(run_id)

    assert meanwhile == {}
    after = handles(old_runs, run_id)
    assert list(after) == [*EXPORTS, "own_rows", "rejected_rows"]
    assert after["own_rows"]["sha256"] != before["sha256"]
    assert "ada" not in (old_runs.exports / str(run_id) / "own_rows.csv").read_text().lower()


def test_rows_that_are_missing_are_written_when_an_operator_asks(old_runs: OldRuns) -> None:
    """As of runs that were stopped under a release that did not write them."""
    _, run_id = stopped(old_runs, "cancelled")
    old_runs.export(run_id)
    with old_runs.database.transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM artifacts WHERE asset_id = 'own_rows'")

    with old_runs.database.transaction() as session:
        request_exports(session, run_id)
    old_runs.export(run_id)

    assert "own_rows" in handles(old_runs, run_id)
    with pytest.raises(RunStateConflict, match="are there"), old_runs.database.transaction() as session:
        request_exports(session, run_id)
