"""The `Retry-After` header, in both of its forms."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lookup.providers.http_provider import retry_after

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("9" * 400, 999_999_999),
        ("Tue, 24 Nov 99999999999 12:00:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_seconds_and_dates_are_understood(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.text())
def test_no_text_breaks_it(value: str) -> None:
    seconds = retry_after(value, NOW)

    assert seconds is None or seconds >= 0
