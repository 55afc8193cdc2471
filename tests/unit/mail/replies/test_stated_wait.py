"""The wait that a reply states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.mail.replies.answer import LONGEST_WAIT, WAIT_MARGIN, stated_wait


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.7.1 <a.b@x.test>: temporarily greylisted, please try again in 300 seconds", 300),
        ("4.7.1 Greylisted for 5 minutes", 300),
        ("4.2.0 Recipient address rejected: Greylisted for 60 seconds", 60),
        ("4.7.1 Greylisting in action, please come back in 00:04:59", 299),
        ("please come back in 4:59", 299),
        ("Please retry after 90s", 90),
        ("4.7.1 Try again after about 10 min.", 600),
        ("Deferred. Wait 120 sec", 120),
        ("greylisted, wait at least 2 minutes before sending again", 120),
        ("GREYLISTED: TRY AGAIN IN 1 HOUR", 3600 - WAIT_MARGIN),
    ],
)
def test_the_time_that_a_reply_names_is_waited_and_a_little_more(text: str, seconds: float) -> None:
    assert stated_wait(text) == seconds + WAIT_MARGIN


@pytest.mark.parametrize(
    "text",
    [
        "4.7.1 Greylisting in action, come back later",
        "4.2.0 Greylisted, see http://postgrey.test/help/x.test.html",
        "Please try again in a few minutes",
        "4.7.1 Try again later",
        "Too many messages: no more than 20 in 10 minutes",
        "4.7.0 [192.0.2.25] try again later 300-s7.gsmtp",
        "service ready for 5 minutes",
        "",
    ],
)
def test_a_reply_without_a_time_states_no_wait(text: str) -> None:
    assert stated_wait(text) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("try again in 1 second", 1 + WAIT_MARGIN),
        ("try again in 0 seconds", WAIT_MARGIN),
        ("retry in 12 hours", LONGEST_WAIT),
    ],
)
def test_a_short_wait_is_kept_and_a_long_one_is_capped(text: str, seconds: float) -> None:
    assert stated_wait(text) == seconds


@given(st.text(max_size=300))
def test_whatever_a_server_writes_is_within_bounds_or_nothing(text: str) -> None:
    wait = stated_wait("try again in " + text)

    assert wait is None or WAIT_MARGIN <= wait <= LONGEST_WAIT
