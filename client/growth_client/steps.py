"""What an operation wants done. Operations are generators: they yield steps, and get back what came of them.

So each operation is written once, and knows nothing of sockets and clocks. `client` performs the steps with blocking
calls, `async_client` with awaitable ones.
"""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from growth_client.errors import Invalid, NotAnEngine
from growth_client.shapes import Shape, fits, parsed

T = TypeVar("T")

TIMEOUT_S = 30.0
WORKING_TIMEOUT_S = 300.0
"""For requests that write or read as many contacts as one run may have."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the API. `path` begins with a slash."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. The names of its headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    unread: Literal["", "packed", "too large"] = ""
    """Why the body was not read."""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def object(self, shape: Mapping[str, Shape]) -> Any:
        """The JSON object of the answer, which must have this shape. Raises `NotAnEngine`."""
        if self.unread:
            raise NotAnEngine(f"{UNREAD[self.unread]}: check the address, and a proxy before the API.")
        try:
            read = parsed(self.body)
        except ValueError:
            read = None
        if not fits(read, shape):
            raise NotAnEngine("What answers there is no growth engine, or a proxy before it: check the address.")
        return read


UNREAD = {
    "packed": "What answers there packs its answers, although it was asked not to",
    "too large": "What answers there sends more than an answer of a growth engine has",
}


class Lost(Exception):
    """Thrown into an operation whose request or stream failed on the way. Its text says how."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; gives its `Reply`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request and leave the body of a successful answer to `Read`; gives the `Reply` without it."""

    request: Request


@dataclass(frozen=True, slots=True)
class Read:
    """Gives the next bytes of what was opened, none at its end."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close what was opened."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """Call a function that may block, such as one that reads a file; gives what it returns."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Give:
    """Hand an item to whoever iterates."""

    item: Any


Step = Send | Open | Read | Close | Pause | Call | Give
Operation = Generator[Step, Any, T]


class Running(Generic[T]):
    """An operation on its way. `result` is there once there is no next step."""

    result: T

    def __init__(self, operation: Operation[T]) -> None:
        self._operation = operation

    def next(self, outcome: Any = None) -> Step | None:
        """The next step, given what came of the one before; none at the end. A `Lost` is thrown into the operation."""
        try:
            if isinstance(outcome, Lost):
                return self._operation.throw(outcome)
            return self._operation.send(outcome)
        except StopIteration as end:
            self.result = end.value
            return None

    def close(self) -> None:
        self._operation.close()


def json_body(body: Any) -> bytes:
    """A body as it is sent. Raises `Invalid` for what JSON can't say."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"What you send is not JSON ({error}): send text, numbers, lists and objects.", 422) from None


JSON: Mapping[str, str] = {"Content-Type": "application/json"}
