"""Chooses what to ask in the next round, so that few questions find much.

Once the domain's pattern is known, everybody's likely address is asked at once. Before that a round asks only
until a hit is likely enough, and each question is chosen as if those before it had been refused: so that
several people's questions try different patterns, not the same one again.

A server that greylists is asked about everything in one go: whom it was not asked about, it does not know when
we come back.
"""

from collections.abc import Iterable, Sequence

from pipeline.lookup.belief import PatternBelief
from pipeline.lookup.candidates import Candidate
from pipeline.lookup.sought import Sought

PILOTS = 5
"""People considered while the domain's pattern is unknown."""
HOPE = 0.3
"""While the pattern is unknown, a round asks until there is a hit with this chance."""
HOPE_FOR_EACH = 0.3
"""Once it is known, a round asks each person's candidates until one of them is right with this chance."""

Questions = dict[str, list[tuple[Sought, Candidate]]]
"""The local parts to ask about, each with the people who may own it, the likeliest owner first."""


def plan_round(people: Sequence[Sought], belief: PatternBelief) -> Questions:
    """Choose the next questions; nobody who is missing from them is worth asking about while this is believed."""
    if belief.dominant:
        return _questions(pair for person in people for pair in _until_hopeful([person], belief, HOPE_FOR_EACH))
    return _questions(_until_hopeful(people[:PILOTS], belief, HOPE))


def plan_all(people: Sequence[Sought], belief: PatternBelief) -> Questions:
    """Choose all that these people would ever be asked about if everything were refused, likely questions first."""
    pairs = [pair for person in people for pair in _until_hopeful([person], belief, hope=1.0)]
    return _questions(sorted(pairs, key=lambda pair: -pair[1].probability))


def _until_hopeful(people: Sequence[Sought], belief: PatternBelief, hope: float) -> Iterable[tuple[Sought, Candidate]]:
    """Yield the likeliest candidate of these people again and again, supposing that the ones before fail."""
    supposed = {id(person): person for person in people}
    belief, hopeless = belief.copy(), 1.0
    while True:
        options = [(person, supposed[id(person)].best(belief)) for person in people]
        likely = [(person, candidate) for person, candidate in options if candidate is not None]
        if not likely:
            return
        person, candidate = max(likely, key=lambda pair: pair[1].probability)
        yield person, candidate
        hopeless *= 1 - candidate.probability
        if hopeless <= 1 - hope:
            return
        before = supposed[id(person)]
        supposed[id(person)] = after = before.supposing_refused(candidate.local_part)
        belief.note_refusal(before.refused, after.refused)


def _questions(pairs: Iterable[tuple[Sought, Candidate]]) -> Questions:
    questions: Questions = {}
    for person, candidate in pairs:
        questions.setdefault(candidate.local_part, []).append((person, candidate))
    for owners in questions.values():
        owners.sort(key=lambda owner: -owner[1].probability)
    return questions
