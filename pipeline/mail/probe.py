"""One domain's turn of asking about addresses, whoever answers: its own mail servers, or a remote verifier."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Protocol, Self

from pipeline.mail.replies.answer import Answer


class Prober(Protocol):
    """What stages ask of: an async context manager, whose end takes leave without waiting for it."""

    domain: str

    async def __aenter__(self) -> Self:
        """Begin."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        ...

    def restart_clock(self) -> None:
        """Give the time limit for one contact anew, for the next contacts."""
        ...

    @property
    def probes_in_time(self) -> int:
        """How many questions can be expected to be answered within half the time limit of one contact."""
        ...

    def expect_no_more(self) -> None:
        """Have the next questions be the last ones: leave may be taken together with them.

        Questions that follow all the same are answered, too, but may take another session.
        """
        ...

    def hang_up(self) -> None:
        """End the session, if there is any; the next question opens another one."""
        ...

    async def probe(self, addresses: Iterable[str]) -> Mapping[str, Answer]:
        """Say of every address what came out of asking, be it that nothing did.

        The addresses must be of this domain and of valid syntax.
        """
        ...
