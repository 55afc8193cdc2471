"""Assigns addresses that exist to their owners: contacts with similar names may have the same local part.

An address is assigned to a person only if no other contact of the domain may own it as well. Until that is certain,
the address is *contested*: its contenders are probed by their other candidates, and a contender who is found
elsewhere is removed.
"""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.candidates import Candidate
from pipeline.lookup.patterns.patterns import all_local_parts
from pipeline.lookup.search.target import USUAL
from pipeline.mail.replies.answer import Answer

OF_ONE_NAME = {"first", "last", "fl"}
"""Patterns by which namesakes have the same address."""
CROWD = 10
"""From so many contacts on, a domain is large enough for STRANGERS to count."""
STRANGERS = 0.08
"""The chance that an address of such a pattern belongs to a stranger, at a large domain."""
CERTAIN = 0.95
"""From this share on, a contender gets the address."""
_PLACES = 1 << 24
_HASH = (1 << 64) - _PLACES
"""The bits of a hash that are kept; those below say which of at most 16 million names it is."""


@dataclass(slots=True)
class ContestedAddress:
    """An address that exists, the server's answer, and for each contender the candidate that it is for them.

    `dominant` is the domain's pattern as known when the address was probed. `stranger` is the chance that the owner is
    not among the contacts, or that their name is written differently there.
    """

    answer: Answer
    contenders: dict[Name, Candidate]
    dominant: str | None
    stranger: float = 0.0

    @property
    def winner(self) -> Name | None:
        """The contender who owns it with certainty, if any."""
        return next((name for name in self.contenders if self.share(name) >= CERTAIN), None)

    def share(self, name: Name) -> float:
        """Return the chance that a contender owns the address."""
        total = sum(each.probability for each in self.contenders.values())
        return (1 - self.stranger) * self.contenders[name].probability / total

    def is_usual_for(self, name: Name, dominant: str | None) -> bool:
        """Whether a contender would usually have this address, given the domain's pattern as known now.

        While no pattern was known, no candidate was likely.
        """
        candidate = self.contenders[name]
        return candidate.pattern == dominant and (candidate.probability >= USUAL or self.dominant is None)


class ContestedAddresses:
    """The contested addresses of one domain, and the contacts who may have them."""

    def __init__(self, names: Collection[Name]) -> None:
        self._addresses: dict[str, ContestedAddress] = {}
        self._is_crowd = len(names) >= CROWD
        self._possible = _PossibleOwners(names)

    def add(self, local_part: str, address: ContestedAddress) -> None:
        """Add an address. At a large domain, a first name alone is the address of many people, also of strangers."""
        favourite = address.contenders[max(address.contenders, key=address.share)]
        if self._is_crowd and favourite.pattern in OF_ONE_NAME:
            address.stranger = STRANGERS
        self._addresses[local_part] = address

    def rule_out_strangers(self) -> None:
        """Assume that the owner is among the contacts: there will be no more probes."""
        for address in self._addresses.values():
            address.stranger = 0.0

    def rivals(self, local_part: str, found: Container[Name]) -> Sequence[Name]:
        """Return everybody who may have this local part and has not been found."""
        return [name for name in self._possible.of(local_part) if name not in found]

    @property
    def contenders(self) -> Sequence[Name]:
        return list(dict.fromkeys(name for address in self._addresses.values() for name in address.contenders))

    def of(self, name: Name) -> Mapping[str, ContestedAddress]:
        """Return the addresses that a person contends for, by local part."""
        return {local: address for local, address in self._addresses.items() if name in address.contenders}

    def remove(self, name: Name) -> None:
        """Remove a person who was found elsewhere from the contenders."""
        for address in self.of(name).values():
            del address.contenders[name]

    def won_by(self, names: Container[Name]) -> Iterator[tuple[str, ContestedAddress, Name]]:
        """Yield and drop each address that one of these people has won, as it stands when its turn comes."""
        for local_part, address in list(self._addresses.items()):
            if address.winner is not None and address.winner in names:
                yield local_part, self._addresses.pop(local_part), address.winner


class _PossibleOwners:
    """For each local part the contacts who may have it.

    A name has some forty local parts, and a worker process searches at hundreds of domains at once: as texts in a
    dictionary they took ten kilobytes a name, most of the memory of such a process. So there are eight bytes for each:
    the upper ones of the text's hash, and below them whose it is. Who is found by a hash is looked at again.
    """

    def __init__(self, names: Iterable[Name]) -> None:
        self._names = list(names)
        self._sorted: array[int] | None = None

    def of(self, local_part: str) -> Iterator[Name]:
        """Yield those who may have a local part, in their order."""
        if self._sorted is None:
            # Only now: a server that does not answer has no address to be contested.
            self._sorted = array("Q", sorted(self._hashes()))
        first = hash(local_part) & _HASH
        for place in range(bisect_left(self._sorted, first), bisect_left(self._sorted, first + _PLACES)):
            name = self._names[self._sorted[place] - first]
            if local_part in all_local_parts(name):
                yield name

    def _hashes(self) -> Iterator[int]:
        for place, name in enumerate(self._names):
            for local_part in all_local_parts(name):
                yield hash(local_part) & _HASH | place
