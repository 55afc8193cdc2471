"""Who is asked about beyond what is worthwhile for them: what the answer shows of a domain may explain others, too."""

from collections.abc import Container, Sequence
from dataclasses import replace

from pipeline.lookup.belief import PatternBelief
from pipeline.lookup.names import Name
from pipeline.lookup.sought import WORTH_ASKING, Sought

ENOUGH = 2
"""From so many people on whom the domain's known patterns don't explain another one is looked for."""


class Explorers:
    """Chooses the explorers at one domain.

    Among people who have no address by the dominant pattern, as long as they are more than should be; and among those
    who vie for one, of whom each but one must have another address. How many of these hide another pattern nobody
    counts, so each who was asked about in vain makes it less likely.
    """

    def __init__(self) -> None:
        self._rivals: set[Name] = set()

    def next(self, people: Sequence[Sought], sought: Container[Name], belief: PatternBelief) -> Sequence[Sought]:
        """Choose among these people, if it is worth it; `sought` are all who have no address yet."""
        unexplained = [person for person in people if person.elsewhere == 1]
        if len(unexplained) >= ENOUGH and (explorer := _likeliest(unexplained, belief.strays, belief)):
            return [explorer]
        rivals = [person for person in people if person.elsewhere < 1]
        in_vain = sum(name in sought for name in self._rivals)
        elsewhere = sum(person.elsewhere for person in rivals) / (1 + in_vain)
        if len(rivals) < ENOUGH or not (explorer := _likeliest(rivals, elsewhere, belief)):
            return []
        self._rivals.add(explorer.name)
        return [explorer]


def _likeliest(people: Sequence[Sought], explained: float, belief: PatternBelief) -> Sought | None:
    """Give the person whose next question is likeliest to hit, if it is worth asking for so many whom it explains."""
    worth = WORTH_ASKING / (1 + explained)
    likely = [
        (candidate.probability, person)
        for person in people
        if (candidate := replace(person, worth=worth).best(belief)) is not None
    ]
    if not likely:
        return None
    _, explorer = max(likely, key=lambda each: each[0])
    explorer.worth = worth
    return explorer
