"""The interface for probing the addresses of one domain: at its own mail servers, or through a remote verifier."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Protocol, Self

from pipeline.mail.replies.answer import Answer


class Prober(Protocol):
    """Probes addresses of one domain. An async context manager; on exit it closes what is open without waiting."""

    domain: str

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def restart_clock(self) -> None:
        """Start the time limit for one contact anew, for the next group of contacts."""
        ...

    @property
    def probes_in_time(self) -> int:
        """How many probes can be expected to be answered within half the time limit of one contact."""
        ...

    def expect_no_more(self) -> None:
        """Announce that the next probes are the last, so that QUIT can be sent together with them.

        Probes that follow nevertheless are answered, too, but may take another session.
        """
        ...

    def hang_up(self) -> None:
        """End the session, if there is one; the next probe opens another one."""
        ...

    async def probe(self, addresses: Iterable[str]) -> Mapping[str, Answer]:
        """Return an answer for every address, even if no server gave one.

        The addresses must belong to this domain and have a valid syntax.
        """
        ...
