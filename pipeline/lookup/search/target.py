"""One person being sought at a domain: what may still be asked about them, and what was answered."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.candidates import LIMIT, Candidate, likeliest
from pipeline.lookup.patterns.model import PatternModel
from pipeline.lookup.patterns.patterns import COMMON, Ways, local_parts
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import ABOUT_US, Meaning

WORTH_ASKING = 0.04
"""A candidate less likely than this is usually not asked: many questions would be spent on few addresses."""
WHILE_UNKNOWN = 0.5
"""While the domain's pattern is unknown so much of that is enough: what is found says more than one address."""
PATIENCE = 3
"""Answers that settle nothing, until a person is given up."""
PATIENCE_WITH_A_GREYLIST = 2
"""Candidates that a greylist had not seen before, until a person who will not be sought again is given up."""
USUAL = 0.3
"""From this chance on a local part is what a person would usually have."""
ANY_DOMAIN = PatternModel()
"""What is believed of somebody whose usual address may be somebody else's: theirs may be of any pattern then."""


@dataclass(slots=True, eq=False)
class Target:
    """A person, the local parts not yet asked, and what is known from those that were.

    `refused` holds, of each pattern, the share of the name's readings that the server does not know, `denied` their
    local parts; `doubtful` is a refusal that was only a transient one. `elsewhere` is the chance that none of the
    addresses that the person shares a claim to is theirs. A candidate less likely than `worth` is not asked. A sample
    is asked about while the domain's pattern is unknown, for so many people; somebody displaced has a usual address
    that is a colleague's. Who `comes_back` is sought again later if a greylisting server asks for that.
    """

    name: Name
    options: dict[str, Ways]
    refused: dict[str, float] = field(default_factory=dict)
    asked: int = 0
    open_answers: list[Answer] = field(default_factory=list)
    last_refusal: Answer | None = None
    doubtful: Answer | None = None
    elsewhere: float = 1.0
    worth: float = WORTH_ASKING
    sample_for: int = 0
    comes_back: bool = False
    is_displaced: bool = False
    vies_for_the_usual: bool = False
    denied: frozenset[str] = frozenset()

    def best(self, model: PatternModel) -> Candidate | None:
        """Choose what to ask about this person next; None when it is not worth it any more."""
        if (
            self.asked >= LIMIT
            or sum(map(self._settles_nothing, self.open_answers)) >= PATIENCE
            or self._comes_too_late(model)
        ):
            return None
        worth = self.worth if model.dominant else self.worth * WHILE_UNKNOWN / max(1, self.sample_for)
        theirs = model.beside_the_dominant() if self.is_displaced or self.vies_for_the_usual else model
        candidate = likeliest(self.options, theirs.chances_of(self.refused))
        return candidate if candidate and self.elsewhere * candidate.probability >= worth else None

    def leave_out(self, taken: Container[str], unknown: Container[str], model: PatternModel) -> None:
        """Drop local parts that belong to others, and those that the server is known not to have."""
        for local_part in [option for option in self.options if option in taken or option in unknown]:
            if local_part in unknown:
                self.note_refusal(local_part)
                continue
            usual = likeliest({local_part: self.options.pop(local_part)}, model.chances_of(self.refused))
            self.is_displaced |= usual is not None and usual.probability >= USUAL

    def note_refusal(self, local_part: str) -> None:
        """Remember that an address does not exist."""
        self.denied |= {local_part}
        for pattern, weight in self.options.pop(local_part):
            self.refused[pattern] = self.refused.get(pattern, 0.0) + weight

    def spell(self, spelled: Name) -> None:
        """Weigh what is left to ask, and what was refused, by the name as the domain spells it."""
        ways = local_parts(spelled)
        for local_part, plausible in self.options.items():
            patterns = {pattern for pattern, _ in plausible}
            self.options[local_part] = [way for way in ways[local_part] if way[0] in patterns]
        self.refused.clear()
        for pattern, weight in (way for local_part in self.denied for way in ways.get(local_part, ())):
            self.refused[pattern] = self.refused.get(pattern, 0.0) + weight

    def note_contested(self, shares: Mapping[str, float], *, to_the_usual: bool) -> None:
        """Remember the addresses that exist and are this person's with these chances only."""
        for local_part in shares:
            self.options.pop(local_part, None)
        self.vies_for_the_usual = to_the_usual
        self.elsewhere = prod(1 - share for share in shares.values())

    def supposing_refused(self, local_part: str) -> "Target":
        """Give the same person after one more question and refusal, for planning."""
        other = replace(self, options=dict(self.options), refused=dict(self.refused), asked=self.asked + 1)
        other.note_refusal(local_part)
        return other

    @property
    def clarity(self) -> float:
        """How likely the likeliest address is at any domain: a name of one spelling and one order says most."""
        best = likeliest(self.options, ANY_DOMAIN.chances_of({}))
        return best.probability if best else 0.0

    @property
    def is_deferred(self) -> bool:
        """Whether an answer said that asking on is pointless for now."""
        return any(map(self._defers, self.open_answers))

    def _defers(self, answer: Answer) -> bool:
        """A greylist that there is no time to wait for says nothing about addresses that have passed it."""
        return answer.meaning in ABOUT_US and (self.comes_back or answer.meaning is not Meaning.GREYLISTED)

    def _settles_nothing(self, answer: Answer) -> bool:
        return self.comes_back or answer.meaning is not Meaning.GREYLISTED

    def _comes_too_late(self, model: PatternModel) -> bool:
        """Whether a greylist has not seen what the pattern suggests: it passes only what was asked before."""
        greylisted = sum(answer.meaning is Meaning.GREYLISTED for answer in self.open_answers)
        return bool(model.dominant) and not self.comes_back and greylisted >= PATIENCE_WITH_A_GREYLIST

    @property
    def refused_patterns(self) -> Sequence[str]:
        """The patterns by which the person has no address, in whatever spelling."""
        return [pattern for pattern, share in self.refused.items() if share > 0.99]

    @property
    def explanation(self) -> Answer | None:
        """The answer that explains best why nothing was found; None if nobody answered about this person."""
        deferred = [answer for answer in self.open_answers if answer.meaning in ABOUT_US]
        if deferred:
            return max(deferred, key=lambda answer: answer.may_change)
        if self.open_answers:
            return max(reversed(self.open_answers), key=lambda answer: answer.may_change)
        return self.doubtful or self.last_refusal


def seek(name: Name, confirmed: Container[str] = ()) -> Target:
    """Begin to seek somebody: by the common patterns, and by those confirmed at the domain."""
    options: dict[str, Ways] = {
        local_part: plausible
        for local_part, ways in local_parts(name).items()
        if (plausible := [way for way in ways if way[0] in COMMON or way[0] in confirmed])
    }
    return Target(name, options)
