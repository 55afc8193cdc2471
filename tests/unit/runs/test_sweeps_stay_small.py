"""What runs every second, or every minute, costs the same however many runs have ever been."""

from collections.abc import Callable, Mapping
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.database import open_database
from models.partitions import PARTITIONED, missing_weeks, weeks_over
from pipeline.privacy import retention
from pipeline.results import stored_files
from pipeline.results.export_lease import find_unexported, unmark_asked
from pipeline.runs import stalled
from tests.clones import Clones
from tests.finished_runs import EXPIRED, finished_runs
from tests.meter import Meter

FEW, MANY = 300, 30_000

Looks = Callable[[Session], object]


def send_again(session: Session) -> None:
    found = stalled.find_stalled(session)
    assert len(found) == 6
    stalled.unmark_resent(session, [run.run_id for run in found])


def export_again(session: Session) -> None:
    found = find_unexported(session)
    assert len(found) == 3
    unmark_asked(session, found)


def delete_files(session: Session) -> None:
    keys = stored_files.take_due(session)
    assert len(keys) == 4
    stored_files.forget(session, keys)


def let_files_go(session: Session) -> None:
    key, run_id = session.execute(text("SELECT key, run_id FROM stored_files WHERE delete_after IS NULL LIMIT 1")).one()
    stored_files.let_go(session, run_id, [key])
    assert len(stored_files.take_due(session, run_id)) == 1


def expire(session: Session) -> None:
    assert len(retention.find_expired(session, 30)) == EXPIRED


LOOKS: Mapping[str, Looks] = {
    "stalled": send_again,
    "all active": stalled.find_all_active,
    "overdue": lambda session: stalled.find_overdue(session, 48, 24),
    "unexported": export_again,
    "expired": expire,
    "due files": delete_files,
    "files of a run": let_files_go,
    "weeks to make": missing_weeks,
    "weeks to drop": lambda session: weeks_over(session, PARTITIONED, 30),
    "old answers": lambda session: retention.delete_answers(session, 30),
    "old verdicts": lambda session: retention.delete_verifications(session, 30),
    "old look-ups": lambda session: retention.delete_lookups(session, 30),
}


@pytest.fixture(scope="module")
def meters(clones: Clones) -> Mapping[bool, tuple[Meter, Meter]]:
    """What each look costs among few and among many finished runs, with statistics and without."""
    few, many = (measured(clones, runs) for runs in (FEW, MANY))
    return {analysed: (few[analysed], many[analysed]) for analysed in (False, True)}


def measured(clones: Clones, runs: int) -> Mapping[bool, Meter]:
    with clones.new() as url, closing(open_database(url, pool_size=1)) as database:
        finished_runs(database, runs)
        meters = {}
        for analysed in (False, True):
            meters[analysed] = Meter(database)
            for name, look in LOOKS.items():
                with meters[analysed].measured(name) as session:
                    look(session)
            with database.engine.begin() as connection:
                connection.execute(text("ANALYZE"))
        return meters


@pytest.mark.parametrize("analysed", [False, True], ids=["never analysed", "analysed"])
@pytest.mark.parametrize("look", LOOKS)
def test_a_look_touches_no_more_blocks_however_many_runs_are_finished(
    meters: Mapping[bool, tuple[Meter, Meter]], look: str, analysed: bool
) -> None:
    """But for the height of the indexes."""
    few, many = meters[analysed]
    costs = {name: (few.blocks[of, name], cost) for (of, name), cost in many.blocks.items() if of == look}

    assert {name: cost for name, cost in costs.items() if cost[1] > 1.5 * cost[0] + 20} == {}
