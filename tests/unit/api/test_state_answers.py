"""What an answer says beside the state."""

import time
from uuid import UUID

import pytest

from api.live.state_answers import SLOWEST_ADVICE_S, advice


def run_created(seconds_ago: float) -> UUID:
    """A run's id, which has the time of its creation (UUID version 7)."""
    return UUID(int=int((time.time() - seconds_ago) * 1000) << 80)


@pytest.mark.parametrize(
    ("age_s", "seconds"),
    [(-5, 1), (0, 1), (15, 1), (50, 2), (110, 5), (310, SLOWEST_ADVICE_S), (1e6, SLOWEST_ADVICE_S)],
)
def test_the_older_a_run_is_the_later_it_is_to_be_read_again_within_reason(age_s: float, seconds: int) -> None:
    assert advice(run_created(age_s)) == seconds
