"""One person whose address is searched for: what is left to probe, and what the probes have shown."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.candidates import LIMIT, Candidate, likeliest
from pipeline.lookup.patterns.model import PatternModel
from pipeline.lookup.patterns.patterns import COMMON, Ways, local_parts
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import ABOUT_US, Meaning

WORTH_PROBING = 0.04
"""A candidate less likely than this is usually not probed: it would take many probes to find few addresses."""
WHILE_UNKNOWN = 0.5
"""Factor for WORTH_PROBING while the domain's pattern is unknown: a hit then shows the pattern as well."""
PATIENCE = 3
"""Inconclusive answers about one person after which the search for them ends."""
PATIENCE_WITH_A_GREYLIST = 2
"""New candidates greylisted after which the search ends for a person who has no visit left."""
USUAL = 0.3
"""From this chance on, a local part is the one that a person would usually have."""
ANY_DOMAIN = PatternModel()
"""The model of a domain about which nothing is known."""


@dataclass(slots=True, eq=False)
class Target:
    """A person, the local parts not yet probed, and the answers about the others.

    `refused` holds, by pattern, the share of the name's readings whose local part the server does not know; `denied`
    holds these local parts. `doubtful` is a refusal that was only transient. `elsewhere` is the chance that none of
    the contested addresses that the person may own is theirs. Candidates less likely than `worth` are not probed.
    A sample is probed while the domain's pattern is unknown, on behalf of `sample_for` people. `comes_back` says that
    a greylisting server can be visited again for this person.
    """

    name: Name
    options: dict[str, Ways]
    refused: dict[str, float] = field(default_factory=dict)
    probes: int = 0
    open_answers: list[Answer] = field(default_factory=list)
    last_refusal: Answer | None = None
    doubtful: Answer | None = None
    elsewhere: float = 1.0
    worth: float = WORTH_PROBING
    sample_for: int = 0
    comes_back: bool = False
    usual_is_taken: bool = False
    usual_is_contested: bool = False
    denied: frozenset[str] = frozenset()

    def best(self, model: PatternModel) -> Candidate | None:
        """Return the candidate to probe next; None if none is worth it."""
        if (
            self.probes >= LIMIT
            or sum(map(self._is_inconclusive, self.open_answers)) >= PATIENCE
            or self._comes_too_late(model)
        ):
            return None
        worth = self.worth if model.dominant else self.worth * WHILE_UNKNOWN / max(1, self.sample_for)
        theirs = model.beside_the_dominant() if self.usual_is_taken or self.usual_is_contested else model
        candidate = likeliest(self.options, theirs.chances_of(self.refused))
        return candidate if candidate and self.elsewhere * candidate.probability >= worth else None

    def leave_out(self, taken: Container[str], unknown: Container[str], model: PatternModel) -> None:
        """Drop local parts that belong to others, and those that the server does not know."""
        for local_part in [option for option in self.options if option in taken or option in unknown]:
            if local_part in unknown:
                self.note_refusal(local_part)
                continue
            usual = likeliest({local_part: self.options.pop(local_part)}, model.chances_of(self.refused))
            self.usual_is_taken |= usual is not None and usual.probability >= USUAL

    def note_refusal(self, local_part: str) -> None:
        """Record that an address does not exist."""
        self.denied |= {local_part}
        for pattern, weight in self.options.pop(local_part):
            self.refused[pattern] = self.refused.get(pattern, 0.0) + weight

    def spell(self, spelled: Name) -> None:
        """Weigh the options, and what was refused, by the name as the domain spells it."""
        ways = local_parts(spelled)
        for local_part, plausible in self.options.items():
            patterns = {pattern for pattern, _ in plausible}
            self.options[local_part] = [way for way in ways[local_part] if way[0] in patterns]
        self.refused.clear()
        for pattern, weight in (way for local_part in self.denied for way in ways.get(local_part, ())):
            self.refused[pattern] = self.refused.get(pattern, 0.0) + weight

    def note_contested(self, shares: Mapping[str, float], *, usual_is_contested: bool) -> None:
        """Record the contested addresses, each with the chance that it is this person's."""
        for local_part in shares:
            self.options.pop(local_part, None)
        self.usual_is_contested = usual_is_contested
        self.elsewhere = prod(1 - share for share in shares.values())

    def supposing_refused(self, local_part: str) -> "Target":
        """Return a copy that has had one more probe, which was refused: for planning."""
        other = replace(self, options=dict(self.options), refused=dict(self.refused), probes=self.probes + 1)
        other.note_refusal(local_part)
        return other

    @property
    def clarity(self) -> float:
        """How likely the likeliest address is at any domain: highest for a name with one spelling and one order."""
        best = likeliest(self.options, ANY_DOMAIN.chances_of({}))
        return best.probability if best else 0.0

    @property
    def is_deferred(self) -> bool:
        """Whether an answer shows that further probes are pointless for now."""
        return any(map(self._defers, self.open_answers))

    def _defers(self, answer: Answer) -> bool:
        """Without another visit, a greylisted candidate says nothing about candidates that have passed the greylist."""
        return answer.meaning in ABOUT_US and (self.comes_back or answer.meaning is not Meaning.GREYLISTED)

    def _is_inconclusive(self, answer: Answer) -> bool:
        return self.comes_back or answer.meaning is not Meaning.GREYLISTED

    def _comes_too_late(self, model: PatternModel) -> bool:
        """Whether the pattern suggests candidates that no earlier visit has probed: a greylist refuses these."""
        greylisted = sum(answer.meaning is Meaning.GREYLISTED for answer in self.open_answers)
        return bool(model.dominant) and not self.comes_back and greylisted >= PATIENCE_WITH_A_GREYLIST

    @property
    def refused_patterns(self) -> Sequence[str]:
        """The patterns by which the person has no address, in any spelling."""
        return [pattern for pattern, share in self.refused.items() if share > 0.99]

    @property
    def explanation(self) -> Answer | None:
        """The answer that explains best why nothing was found; None if there is no answer about this person."""
        deferred = [answer for answer in self.open_answers if answer.meaning in ABOUT_US]
        if deferred:
            return max(deferred, key=lambda answer: answer.may_change)
        if self.open_answers:
            return max(reversed(self.open_answers), key=lambda answer: answer.may_change)
        return self.doubtful or self.last_refusal


def target_for(name: Name, confirmed: Container[str] = ()) -> Target:
    """Return a new target; its options follow the common patterns and those confirmed at the domain."""
    options: dict[str, Ways] = {
        local_part: plausible
        for local_part, ways in local_parts(name).items()
        if (plausible := [way for way in ways if way[0] in COMMON or way[0] in confirmed])
    }
    return Target(name, options)
