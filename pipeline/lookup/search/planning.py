"""Plans the probes of the next round, so that few probes find many addresses.

A superfluous probe costs the server more than a round trip costs us. A round therefore ends once a hit is likely enough
that further probes would be wasted, and each probe is chosen as if those before it had been refused. The *samples*, a
few people with unambiguous names, show the domain's pattern. Once it is known, people are probed by it in parallel: a
few at first, more with each hit that confirms it.

A greylisting server answers only at the next visit, and only about addresses that it was probed about before, so
each probe costs two. At first only the samples are probed; once they have shown the pattern, everybody by it.
"""

from collections.abc import Container, Iterable, Sequence

from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.candidates import Candidate
from pipeline.lookup.patterns.model import PatternModel
from pipeline.lookup.search.target import WORTH_PROBING, Target

HOPE = 0.08
"""A round probes a person until the chance of a hit reaches this: what a round trip is worth, in probes."""
HOPE_FOR_A_VISIT = 0.3
"""The same for a greylisting server that will be visited again."""
HOPE_OF_THE_PATTERN = 0.7
"""The same on the last occasion, if the pattern is known by then."""
HOPE_OF_MANY = 0.6
"""The same on the last occasion for many people, if it is unknown: this costs most and finds least."""
WORTH_ON_THE_LAST_OCCASION = 0.5
"""Factor for WORTH_PROBING while the pattern is unknown: by the next visit, others may have made it worthwhile."""
WORTH_OF_A_SAMPLE = 0.15
"""Samples are probed while a probe shows the pattern with this chance, shared among all who wait for it."""
WIDEST = 1024
"""The most people probed in parallel: two for a pattern without hits, twice as many for each hit."""

ProbePlan = dict[str, list[tuple[Target, Candidate]]]
"""The local parts to probe, each with the people who may own it, the likeliest owner first."""


def plan_round(targets: Sequence[Target], model: PatternModel) -> ProbePlan:
    """Choose the next probes; a target without one is not worth a probe by this model."""
    if model.dominant:
        width = min(WIDEST, 2 ** (1 + int(min(model.hits, 9))))
        return _plan(pair for target in targets[:width] for pair in _until_hopeful([target], model, HOPE))
    samples = [target for target in targets if target.sample_for]
    return _plan(_until_hopeful(samples or targets, model, HOPE))


def plan_visit(
    targets: Sequence[Target], last_time: Container[Name], hope: float, everybody: int, model: PatternModel
) -> ProbePlan:
    """Choose the probes of a visit to a greylisting server, the likely ones first; it will be visited again.

    People in `last_time` have one more visit. While the pattern is unknown, they are probed until the chance of a
    hit reaches `hope`, and of the others only the samples are probed.
    """
    samples = [target for target in targets if target.sample_for and target.name not in last_time]
    pairs = [] if model.dominant else list(_while_worthwhile(samples, WORTH_OF_A_SAMPLE / everybody, model))
    for target in targets:
        if target.name in last_time:
            target.worth = WORTH_PROBING * (1 if model.dominant else WORTH_ON_THE_LAST_OCCASION)
            pairs += _until_hopeful([target], model, HOPE_OF_THE_PATTERN if model.dominant else hope)
        elif model.dominant:
            pairs += _until_hopeful([target], model, HOPE_FOR_A_VISIT)
    return _plan(sorted(pairs, key=lambda pair: -pair[1].probability))


def _while_worthwhile(
    samples: Sequence[Target], worth: float, model: PatternModel
) -> Iterable[tuple[Target, Candidate]]:
    """Yield the probes of the samples taken together: every pattern for one of them, the common ones for others too."""
    hopeless = 1.0
    for target, candidate in _until_hopeful(samples, model, 1.0):
        if hopeless < 1 and hopeless * candidate.probability < worth:
            return
        hopeless *= 1 - candidate.probability
        yield target, candidate


def _until_hopeful(targets: Sequence[Target], model: PatternModel, hope: float) -> Iterable[tuple[Target, Candidate]]:
    """Yield the likeliest candidate of these targets again and again, supposing that those before were refused."""
    supposed = {id(target): target for target in targets}
    model, hopeless = model.copy(), 1.0
    while True:
        options = [(target, supposed[id(target)].best(model)) for target in targets]
        likely = [(target, candidate) for target, candidate in options if candidate is not None]
        if not likely:
            return
        target, candidate = max(likely, key=lambda pair: pair[1].probability)
        yield target, candidate
        hopeless *= 1 - candidate.probability
        if hopeless <= 1 - hope:
            return
        before = supposed[id(target)]
        supposed[id(target)] = after = before.supposing_refused(candidate.local_part)
        model.note_refusal(before.refused, after.refused)


def _plan(pairs: Iterable[tuple[Target, Candidate]]) -> ProbePlan:
    plan: ProbePlan = {}
    for target, candidate in pairs:
        plan.setdefault(candidate.local_part, []).append((target, candidate))
    for owners in plan.values():
        owners.sort(key=lambda owner: -owner[1].probability)
    return plan
