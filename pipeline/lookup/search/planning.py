"""Chooses what to ask in the next round, so that few questions find much.

A question that turns out to be needless costs the server more than a round trip costs us. So a round asks only until
a hit is likely enough that the questions after it would be wasted, and each question is chosen as if those before it
had been refused. The *samples*, a few people of clear names, show the domain's pattern. Once it is known, people are
asked about by it side by side: a few at first, more with each hit that bears it out.

A server that greylists tells nothing until we come back, and then only about whom it was asked about: each question
costs two. It is asked about the samples alone at first; when these have shown the pattern, about everybody by it.
"""

from collections.abc import Container, Iterable, Sequence

from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.candidates import Candidate
from pipeline.lookup.patterns.model import PatternModel
from pipeline.lookup.search.target import WORTH_ASKING, Target

HOPE = 0.08
"""A round asks about somebody until there is a hit with this chance: so much of a question a round trip is worth."""
HOPE_FOR_A_VISIT = 0.3
"""A greylisting server is asked about somebody until there is a hit with this chance, if it is visited again."""
HOPE_OF_THE_PATTERN = 0.7
"""On the last occasion, if the pattern is known by then."""
HOPE_OF_MANY = 0.6
"""On the last occasion, of many people, if it is not: that costs most and finds least."""
WORTH_ON_THE_LAST_OCCASION = 0.5
"""While the pattern is unknown, what others teach when we come back may make worthwhile what is not quite so now."""
WORTH_OF_A_SAMPLE = 0.15
"""Samples are probed as long as a probe shows the pattern with this chance, shared among all who wait for it."""
WIDEST = 1024
"""The most people asked about side by side: two for a pattern known by no hit, twice as many for each hit."""

ProbePlan = dict[str, list[tuple[Target, Candidate]]]
"""The local parts to ask about, each with the people who may own it, the likeliest owner first."""


def plan_round(people: Sequence[Target], model: PatternModel) -> ProbePlan:
    """Choose the next questions; nobody who is missing from them is worth asking about while this is believed."""
    if model.dominant:
        width = min(WIDEST, 2 ** (1 + int(min(model.hits, 9))))
        return _questions(pair for person in people[:width] for pair in _until_hopeful([person], model, HOPE))
    samples = [person for person in people if person.sample_for]
    return _questions(_until_hopeful(samples or people, model, HOPE))


def plan_visit(
    people: Sequence[Target], last_time: Container[Name], hope: float, everybody: int, model: PatternModel
) -> ProbePlan:
    """Choose what a greylisting server is asked about people who will be sought again; `last_time` those, but once.

    Somebody of these is asked about until there is a hit with the chance of `hope` if the pattern is unknown, of the
    others only the samples are. The likely questions come first.
    """
    samples = [person for person in people if person.sample_for and person.name not in last_time]
    pairs = [] if model.dominant else list(_until_it_does_not_pay(samples, WORTH_OF_A_SAMPLE / everybody, model))
    for person in people:
        if person.name in last_time:
            person.worth = WORTH_ASKING * (1 if model.dominant else WORTH_ON_THE_LAST_OCCASION)
            pairs += _until_hopeful([person], model, HOPE_OF_THE_PATTERN if model.dominant else hope)
        elif model.dominant:
            pairs += _until_hopeful([person], model, HOPE_FOR_A_VISIT)
    return _questions(sorted(pairs, key=lambda pair: -pair[1].probability))


def _until_it_does_not_pay(
    samples: Sequence[Target], worth: float, model: PatternModel
) -> Iterable[tuple[Target, Candidate]]:
    """Yield what to ask about samples together: each pattern of one of them, and the common ones of others, too."""
    hopeless = 1.0
    for person, candidate in _until_hopeful(samples, model, 1.0):
        if hopeless < 1 and hopeless * candidate.probability < worth:
            return
        hopeless *= 1 - candidate.probability
        yield person, candidate


def _until_hopeful(people: Sequence[Target], model: PatternModel, hope: float) -> Iterable[tuple[Target, Candidate]]:
    """Yield the likeliest candidate of these people again and again, supposing that the ones before fail."""
    supposed = {id(person): person for person in people}
    model, hopeless = model.copy(), 1.0
    while True:
        options = [(person, supposed[id(person)].best(model)) for person in people]
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
        model.note_refusal(before.refused, after.refused)


def _questions(pairs: Iterable[tuple[Target, Candidate]]) -> ProbePlan:
    questions: ProbePlan = {}
    for person, candidate in pairs:
        questions.setdefault(candidate.local_part, []).append((person, candidate))
    for owners in questions.values():
        owners.sort(key=lambda owner: -owner[1].probability)
    return questions
