"""Who may own an address that exists: contacts of like names may each have the same local part.

An address is given to somebody only if nobody else of the domain's contacts may as well own it. Until that is clear
it is *contested*: its contenders are asked about by their other candidates, and whoever is found elsewhere withdraws.
"""

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.candidates import Candidate
from pipeline.lookup.patterns.patterns import local_parts
from pipeline.lookup.search.target import USUAL
from pipeline.mail.replies.answer import Answer

OF_ONE_NAME = {"first", "last", "fl"}
"""Patterns whose addresses namesakes vie for."""
CROWD = 10
STRANGERS = 0.08
"""The chance that an address of one name is a stranger's where so many contacts work."""
CLEAR = 0.95
"""Whoever owns an address with this chance, all its contenders considered, gets it."""


@dataclass(slots=True)
class ContestedAddress:
    """An address that exists, what the server said about it, and everybody who may own it, as what.

    `dominant` is the domain's pattern as far as it was known when the address was asked about. `stranger` is the chance
    that somebody owns it who is not among the contacts, or whose name is written otherwise there.
    """

    answer: Answer
    contenders: dict[Name, Candidate]
    dominant: str | None
    stranger: float = 0.0

    @property
    def winner(self) -> Name | None:
        """Whoever owns it without reasonable doubt."""
        return next((name for name in self.contenders if self.share(name) >= CLEAR), None)

    def share(self, name: Name) -> float:
        """The chance that a contender owns it."""
        total = sum(each.probability for each in self.contenders.values())
        return (1 - self.stranger) * self.contenders[name].probability / total

    def is_for_the_usual(self, name: Name, dominant: str | None) -> bool:
        """Whether it is about the address that a contender would usually have, now that this is the domain's pattern.

        As long as no pattern was known no claim was likely.
        """
        claim = self.contenders[name]
        return claim.pattern == dominant and (claim.probability >= USUAL or self.dominant is None)


class ContestedAddresses:
    """Of all contacts of one domain: which local parts several of them may have, and which are contested now."""

    def __init__(self, names: Collection[Name]) -> None:
        self.addresses: dict[str, ContestedAddress] = {}
        self._is_crowd = len(names) >= CROWD
        self._possible: dict[str, list[Name]] = {}
        for name in names:
            for local_part in local_parts(name):
                self._possible.setdefault(local_part, []).append(name)

    def stranger(self, candidate: Candidate) -> float:
        """The chance that an address is a stranger's: where many work, a first name alone is many people's."""
        return STRANGERS if self._is_crowd and candidate.pattern in OF_ONE_NAME else 0.0

    def forget_strangers(self) -> None:
        """Nothing more will be asked: what no contact but one claims is taken for theirs."""
        for contested in self.addresses.values():
            contested.stranger = 0.0

    def rivals(self, local_part: str, found: Container[Name]) -> Sequence[Name]:
        """Everybody who may have this local part and is not found yet."""
        return [name for name in self._possible.get(local_part, ()) if name not in found]

    @property
    def contenders(self) -> Sequence[Name]:
        """Everybody who claims something."""
        return list(dict.fromkeys(name for contested in self.addresses.values() for name in contested.contenders))

    def of(self, name: Name) -> Mapping[str, ContestedAddress]:
        """What somebody claims."""
        return {local: contested for local, contested in self.addresses.items() if name in contested.contenders}

    def withdraw(self, name: Name) -> None:
        """Somebody is found elsewhere: what they claimed is for the others."""
        for contested in self.of(name).values():
            del contested.contenders[name]

    def won_by(self, names: Container[Name]) -> Iterator[tuple[str, ContestedAddress, Name]]:
        """Give each contested that one of these names has won, as it is when its turn comes."""
        for local_part, contested in list(self.addresses.items()):
            if contested.winner is not None and contested.winner in names:
                yield local_part, self.addresses.pop(local_part), contested.winner
