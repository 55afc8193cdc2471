"""When a message that was not accepted is sent again.

After 5 seconds, then after three times as long each time: 15 s, 45 s, ... an hour, three hours, and then every four
hours; each pause is up to a fifth longer or shorter, so that messages that failed together do not come back together. A
message that is a day old, and has been tried, is dead.
"""

import secrets

FIRST_S = 5.0
FACTOR = 3.0
LONGEST_S = 4 * 3600.0
JITTER = 0.2
DAY_S = 24 * 3600.0
"""The age at which a message is dead."""

_RANDOM = secrets.SystemRandom()


def pause_after(attempt: int, asked_for: float | None = None) -> float:
    """Seconds to wait after this attempt, counted from 1; at least those that the receiver asked for."""
    pause = min(LONGEST_S, FIRST_S * FACTOR ** min(attempt - 1, 20))
    return max(pause * _RANDOM.uniform(1 - JITTER, 1 + JITTER), min(asked_for or 0.0, DAY_S))
