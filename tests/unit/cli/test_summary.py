"""What is printed about a run."""

from io import StringIO
from typing import Any

from rich.console import Console

from cli.summary import print_summary, print_timeline

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
