"""What is printed about a run."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from cli.summary import print_runs, print_summary, print_timeline

STATE: dict[str, Any] = {
    "run_id": "7c3e1d22-9b4a-4f8c-b1e2-3d5f0a7c9e1b",
    "status": "completed",
    "progress": {"percent": 100, "message": "Run complete."},
    "preview": {
        "delivered_counts": {"delivered_contacts": 95, "verified_emails": 90},
        "pricing": {"charged_credits": 400, "rebate_credits": 20, "net_credits": 380},
    },
    "gap_report": {
        "unresolved": 5,
        "reasons": {"null_mx": {"count": 5, "explanation": "The domain takes no mail."}},
        "unverified_reasons": {"mailbox_full": {"count": 5, "explanation": "The mailbox is full."}},
    },
}


def recorder(width: int = 120) -> Console:
    return Console(record=True, width=width, file=StringIO())


def printed(console: Console) -> list[list[str]]:
    return [line.split() for line in console.export_text().splitlines() if line.strip()]


def test_addresses_that_are_not_verified_are_a_part_of_those_delivered() -> None:
    console = recorder()

    print_summary(console, STATE)

    assert [line[:3] for line in printed(console)[1:]] == [
        ["Delivered", "95", "contacts"],
        ["Verified", "90", "mail"],
        ["Not", "verified", "5"],
        ["mailbox_full", "5", "The"],
        ["Unresolved", "5", "contacts"],
        ["null_mx", "5", "The"],
        ["Credits", "380", "400"],
    ]


@pytest.mark.parametrize(
    ("verdicts", "advice"),
    [
        ({"valid": 90, "risky": 5}, "use with care, for"),
        ({"valid": 90, "invalid": 5}, "do not send: mail to them would bounce, for"),
        ({"valid": 90, "invalid": 2, "unknown": 3}, "do not send to the 2 that are invalid, and use the others with"),
    ],
    ids=["none would bounce", "all would bounce", "some would bounce"],
)
def test_an_invalid_address_is_not_called_one_to_use_with_care(verdicts: dict[str, int], advice: str) -> None:
    console = recorder()

    print_summary(console, {**STATE, "preview": {**STATE["preview"], "verdicts": verdicts}})

    assert f"Not verified 5 {advice}" in " ".join(word for line in printed(console) for word in line)


def test_the_details_of_the_timeline_are_words() -> None:
    console = recorder()
    event = {"at": "2026-11-29T10:00:00+00:00", "kind": "chunk_deferred", "stage": "email_verify", "worker": None}

    print_timeline(
        console, [{**event, "detail": {"reasons": ["greylisted"], "seconds": 30, "contacts": 7, "chunk": 0}}]
    )

    assert "chunk 0, 7 contacts, for 30 s, greylisted" in " ".join(printed(console)[1])


def test_what_a_server_says_of_a_run_shows_and_does_nothing() -> None:
    console = recorder(500)
    hostile = "\x1b]0;owned\x07\x1b[31mred [bold]\x9b0m"
    run = {**STATE, "status": hostile, "progress": {"percent": 100, "message": hostile}}
    event = {"at": "2026-11-29T10:00:00+00:00", "kind": hostile, "stage": hostile, "worker": hostile}

    print_summary(console, run)
    print_timeline(console, [{**event, "detail": {"reason": hostile}}])

    text = console.export_text(clear=False)
    assert text.count("\ufffd[31mred [bold]") == 6
    assert not {"\x1b", "\x07", "\x9b"} & set(text)


LISTED: dict[str, Any] = {
    "run_id": "7c3e1d22-9b4a-4f8c-b1e2-3d5f0a7c9e1b", "status": "completed", "preset": "verify_existing_emails",
    "percent": 100, "contacts": 1_000_000, "delivered_contacts": 803_000, "verified_emails": 772_000,
    "created_at": "2026-11-30T08:00:00Z", "finished_at": "2026-11-30T09:02:03Z", "retry_of": None,
}  # fmt: skip


@pytest.mark.parametrize(("is_terminal", "last"), [(True, "created"), (False, "preset")], ids=["a terminal", "a pipe"])
def test_a_listed_run_is_one_line_with_its_whole_state_and_its_time_at_80_columns(is_terminal: bool, last: str) -> None:
    output = StringIO()

    print_runs(Console(file=output, width=80, force_terminal=is_terminal, color_system=None), [LISTED])

    header, line = output.getvalue().splitlines()
    assert header.split()[-1] == last
    assert line.split()[:4] == [LISTED["run_id"], "completed", "100", "1,000,000"]
    assert "2026-11-30" in line
    assert len(line) <= 80 or not is_terminal
