"""Percent and message: computed from counts, never falling, 100 only at the end."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.run import Run
from models.status import RunStatus, StageStatus
from pipeline.runs.progress import StageCount, message, percent

CONTACTS = 997


def stages(looked_up: int, verified: int, total: int = CONTACTS) -> list[StageCount]:
    return [
        StageCount("email_lookup", _status(looked_up, total), looked_up, total),
        StageCount("email_verify", _status(verified, total), verified, total),
    ]


def _status(done: int, total: int) -> StageStatus:
    return StageStatus.COMPLETED if done == total else StageStatus.RUNNING


@given(st.lists(st.tuples(st.integers(0, CONTACTS), st.integers(0, CONTACTS)), min_size=2))
def test_percent_never_falls_while_counts_rise(steps: list[tuple[int, int]]) -> None:
    lookups, verifies = sorted(a for a, _ in steps), sorted(b for _, b in steps)

    shown = [percent(RunStatus.RUNNING, stages(*counts)) for counts in zip(lookups, verifies, strict=True)]

    assert shown == sorted(shown)


@given(st.integers(0, CONTACTS), st.integers(0, CONTACTS))
def test_percent_is_100_only_when_the_run_is_completed(looked_up: int, verified: int) -> None:
    counts = stages(looked_up, verified)

    assert 0 <= percent(RunStatus.RUNNING, counts) <= 99
    assert percent(RunStatus.COMPLETED, counts) == 100


def test_three_quarters_of_the_look_ups_are_45_percent_as_in_the_contract() -> None:
    counts = stages(75, 0, total=100)

    assert percent(RunStatus.RUNNING, counts) == 45
    assert message(Run(status="running"), counts) == "Discovering email addresses..."


@pytest.mark.parametrize(
    ("status", "failures", "waits", "ending"),
    [
        ("pending", 1, True, "; the next try is at 12:00:04 UTC."),
        ("running", 3, False, "; it is tried again."),
        ("running", 0, True, "; the next try is at 12:00:04 UTC."),
        ("running", 0, False, ""),
        ("cancelled", 3, True, ""),
    ],
)
def test_the_message_tells_what_failed_until_it_is_over(status: str, failures: int, waits: bool, ending: str) -> None:
    trouble = {"step": "load", "stage": "email_lookup", "fault": "database error 22003", "times": 3}
    retry_at = datetime(2026, 11, 1, 12, 0, 4, tzinfo=UTC)
    updated_at = retry_at - timedelta(seconds=4 if waits else -1)
    run = Run(status=status, failures=failures, trouble=trouble, retry_at=retry_at, updated_at=updated_at)

    shown = message(run, stages(5, 0))

    what = "A part of the stage email_lookup failed 3 times while its contacts were loaded (database error 22003)"
    assert shown.endswith(what + ending if ending else ".")
    assert (what in shown) is bool(ending)


def test_the_message_follows_the_run_through_its_life() -> None:
    shown = [
        message(Run(status="pending"), stages(0, 0)),
        message(Run(status="running"), stages(5, 0)),
        message(Run(status="running"), stages(CONTACTS, 5)),
        message(Run(status="running"), stages(CONTACTS, CONTACTS)),
        message(Run(status="completed"), stages(CONTACTS, CONTACTS)),
        message(Run(status="failed", error_message="No resolver answers."), stages(5, 0)),
    ]

    assert shown == [
        "Waiting for a worker to start this run...",
        "Discovering email addresses...",
        "Verifying email addresses...",
        "Compiling results...",
        "Run complete.",
        "Run failed. No resolver answers.",
    ]
