"""One person being sought at a domain: what may still be asked about them, and what was answered."""

from collections.abc import Container
from dataclasses import dataclass, field, replace

from pipeline.lookup.belief import PatternBelief
from pipeline.lookup.candidates import LIMIT, Candidate, likeliest
from pipeline.lookup.names import Name
from pipeline.lookup.patterns import COMMON, Ways, local_parts
from pipeline.mail.answer import Answer
from pipeline.mail.meanings import ABOUT_US

WORTH_ASKING = 0.007
"""A candidate less likely than this is not asked: a yes would hardly be about this person."""
PATIENCE = 3
"""Answers that settle nothing, until a person is given up."""


@dataclass(slots=True, eq=False)
class Sought:
    """A person, the local parts not yet asked, and what is known from those that were.

    `refused` holds, of each pattern, the share of the name's readings that the server does not know;
    `doubtful` is a refusal that was only a transient one.
    """

    name: Name
    options: dict[str, Ways]
    refused: dict[str, float] = field(default_factory=dict)
    asked: int = 0
    open_answers: list[Answer] = field(default_factory=list)
    last_refusal: Answer | None = None
    doubtful: Answer | None = None

    def best(self, belief: PatternBelief) -> Candidate | None:
        """Choose what to ask about this person next; None when it is not worth it any more."""
        if self.asked >= LIMIT or len(self.open_answers) >= PATIENCE:
            return None
        candidate = likeliest(self.options, belief.chances_of(self.refused))
        return candidate if candidate and candidate.probability >= WORTH_ASKING else None

    def leave_out(self, taken: Container[str], unknown: Container[str]) -> None:
        """Drop local parts that belong to others, and those that the server is known not to have."""
        for local_part in [option for option in self.options if option in taken or option in unknown]:
            if local_part in unknown:
                self.note_refusal(local_part)
            else:
                del self.options[local_part]

    def note_refusal(self, local_part: str) -> None:
        """Remember that an address does not exist."""
        for pattern, weight in self.options.pop(local_part):
            self.refused[pattern] = self.refused.get(pattern, 0.0) + weight

    def supposing_refused(self, local_part: str) -> "Sought":
        """Give the same person after one more question and refusal, for planning."""
        other = replace(self, options=dict(self.options), refused=dict(self.refused), asked=self.asked + 1)
        other.note_refusal(local_part)
        return other

    @property
    def is_put_off(self) -> bool:
        """Whether an answer said that asking on is pointless for now."""
        return any(answer.meaning in ABOUT_US for answer in self.open_answers)

    @property
    def explanation(self) -> Answer | None:
        """The answer that explains best why nothing was found; None if nobody answered about this person."""
        deferred = [answer for answer in self.open_answers if answer.meaning in ABOUT_US]
        if deferred:
            return max(deferred, key=lambda answer: answer.may_change)
        if self.open_answers:
            return max(reversed(self.open_answers), key=lambda answer: answer.may_change)
        return self.doubtful or self.last_refusal


def seek(name: Name, confirmed: Container[str] = ()) -> Sought:
    """Begin to seek somebody: by the common patterns, and by those confirmed at the domain."""
    options: dict[str, Ways] = {
        local_part: plausible
        for local_part, ways in local_parts(name).items()
        if (plausible := [way for way in ways if way[0] in COMMON or way[0] in confirmed])
    }
    return Sought(name, options)
