"""How long a server says that we should wait, where its reply names a time.

Texts as in facts published with greylisting software: Postgrey and SQLgrey ("Greylisted for 5 minutes"),
milter-greylist ("please come back in 00:04:59"), policyd ("please try again in 180 seconds").
"""

import re

MARGIN = 5.0
"""Seconds added to what a server says: its clock and ours agree about as well as that."""
LONGEST = 3600.0
"""Seconds that are waited at most, whatever a server says."""

_UNITS = {"s": 1, "m": 60, "h": 3600}
_INVITATION = r"(?:again|retry|back|return|delayed|deferred|gr[ae]y-?list(?:ed|ing)?)\b"
_WAIT = re.compile(
    rf"(?:{_INVITATION}[^.;:\d]{{0,30}}?\b(?:in|after|for)|\bwait)\s+(?:(?:for|at least|about|another)\s+){{0,2}}"
    r"(?:(?:(?P<hours>\d{1,2}):)?(?P<minutes>\d{1,2}):(?P<seconds>\d{2})\b"
    r"|(?P<number>\d{1,5}) ?(?P<unit>s|m|h)(?:ec(?:ond)?s?|in(?:ute)?s?|(?:ou)?rs?)?\b)"
)


def stated_wait(text: str) -> float | None:
    """Give the seconds to wait if a reply's text names a time to come back after; None if it does not."""
    found = _WAIT.search(text.lower())
    if found is None:
        return None
    if found["number"]:
        seconds = int(found["number"]) * _UNITS[found["unit"]]
    else:
        seconds = int(found["hours"] or 0) * 3600 + int(found["minutes"]) * 60 + int(found["seconds"])
    return min(seconds + MARGIN, LONGEST)
