"""When a request is repeated, and how long the client waits before."""

import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from growth_client.errors import NotAnEngine, Refused, Unreachable, refusal
from growth_client.steps import Lost, Operation, Pause, Reply, Request, Send

TEMPORARY = frozenset({408, 425, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Retries:
    """How patient a client is: `seconds` of waiting in all, in pauses that double up to `longest_pause`.

    What `Retry-After` says is heeded, if it is within `seconds`.
    """

    seconds: float = 60.0
    first_pause: float = 0.25
    longest_pause: float = 8.0


class Patience:
    """What is left of a client's patience during one operation."""

    def __init__(self, retries: Retries) -> None:
        self._retries = retries
        self.renew()

    def renew(self) -> None:
        """Begin anew, after something succeeded."""
        self._left, self._pause = self._retries.seconds, self._retries.first_pause

    def after(self, failure: Reply | Lost) -> Pause:
        """The pause after a failure. Raises it as an error if there is no patience left, or repeating can't help."""
        error = error_of(failure)
        if isinstance(failure, Reply) and not is_temporary(failure):
            raise error
        advice = error.retry_after if isinstance(error, Refused) else 0.0
        pause = max(advice, self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
        if pause > self._left:
            raise error
        self._left -= pause
        self._pause = min(2 * self._pause, self._retries.longest_pause)
        return Pause(pause)


def send(request: Request, retries: Retries) -> Operation[Reply]:
    """The answer to a request, which is repeated while that may help. It must be one that may be sent twice.

    Raises `Refused`, `Unreachable`.
    """
    patience = Patience(retries)
    while True:
        outcome = yield from attempt(request)
        if isinstance(outcome, Reply) and outcome.is_success:
            return outcome
        yield patience.after(outcome)


def attempt(request: Request) -> Operation[Reply | Lost]:
    """What comes of sending a request once."""
    try:
        reply: Reply = yield Send(request)
    except Lost as lost:
        return lost
    return reply


def is_temporary(reply: Reply) -> bool:
    """Whether the same request may succeed later."""
    return reply.status in TEMPORARY or (reply.status >= 400 and "retry-after" in reply.headers)


def error_of(failure: Reply | Lost) -> Refused | Unreachable:
    """The error that a failure is raised as."""
    if isinstance(failure, Lost):
        return Unreachable(f"The API does not answer ({failure}): is its address right, and is it running?")
    return refusal(failure.status, sentence_of(failure), retry_after(failure))


def sentence_of(reply: Reply) -> str:
    """Why the API refuses, in its own words."""
    try:
        if detail := reply.object({"detail": str})["detail"]:
            return str(detail)
    except NotAnEngine:  # a proxy's page, which has no sentence of the API
        pass
    if 300 <= reply.status < 400:
        return f"The API's address sends us on to {reply.headers.get('location', 'another one')}: use that one."
    return f"The API's address answers {reply.status} without a reason: check the address, and a proxy before the API."


def retry_after(reply: Reply) -> float:
    """The seconds of `Retry-After`, which is a number or a date; 0 without it."""
    text = reply.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
