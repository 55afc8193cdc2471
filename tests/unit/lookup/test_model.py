"""What is believed of a domain's pattern follows what is seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contacts import PatternCount
from pipeline.lookup.patterns.model import EXISTENCE, PatternBelief
from pipeline.lookup.patterns.patterns import PATTERNS, PRIORS

PATTERN = st.sampled_from(sorted(PATTERNS))
COVERAGE = st.dictionaries(PATTERN, st.floats(0.05, 1.0), max_size=10)


def test_at_first_the_priors_are_all_there_is() -> None:
    belief = PatternBelief()

    assert belief.dominant is None
    assert belief.chances_of({}) == pytest.approx({p: EXISTENCE * chance for p, chance in PRIORS.items()})


@given(PATTERN)
def test_two_hits_of_one_pattern_make_it_the_dominant_one(pattern: str) -> None:
    belief = PatternBelief()
    belief.note_hit([(pattern, 1.0)], {})
    belief.note_hit([(pattern, 1.0)], {})

    assert belief.dominant == pattern
    assert max(belief.chances_of({}).items(), key=lambda item: item[1])[0] == pattern


def test_one_deviating_hit_does_not_overturn_many() -> None:
    belief = PatternBelief([PatternCount("flast", 10)])

    belief.note_hit([("first.last", 1.0)], {})

    assert belief.dominant == "flast"


def test_the_more_hits_agree_the_less_is_left_for_other_patterns() -> None:
    left = []
    belief = PatternBelief()
    for _ in range(5):
        belief.note_hit([("flast", 1.0)], {})
        left.append(belief.chances_of({"flast": 1.0})["first.last"])

    assert left == sorted(left, reverse=True)


def test_a_refusal_makes_other_patterns_likelier_for_the_others() -> None:
    belief = PatternBelief()
    before = belief.chances_of({})["flast"]

    belief.note_refusal({}, {"first.last": 1.0})

    assert belief.chances_of({})["flast"] > before
    assert belief.chances_of({})["first.last"] < EXISTENCE * PRIORS["first.last"]


def test_the_more_was_refused_to_a_person_the_less_likely_is_there_any_address() -> None:
    refused: dict[str, float] = {}
    total_left = []
    for pattern in PATTERNS:
        chances = PatternBelief().chances_of(refused)
        total_left.append(sum(chance for name, chance in chances.items() if name not in refused))
        refused[pattern] = 1.0

    assert total_left == sorted(total_left, reverse=True)


def test_supposing_something_changes_nothing_for_others() -> None:
    belief = PatternBelief()
    before = dict(belief.chances_of({}))

    supposed = belief.copy()
    supposed.note_hit([("fl", 1.0)], {})

    assert belief.chances_of({}) == before
    assert supposed.chances_of({}) != before


@pytest.mark.parametrize(
    ("known", "founded"),
    [
        ([], False),
        ([PatternCount("flast", 2)], False),
        ([PatternCount("flast", 3)], True),
        ([PatternCount("flast", 3), PatternCount("first.last", 3)], False),
        ([PatternCount("flast", 9), PatternCount("first.last", 1)], True),
        ([PatternCount("no such pattern", 9)], False),
    ],
)
def test_a_pattern_may_be_relied_on_once_several_addresses_agree(known: list[PatternCount], founded: bool) -> None:
    assert PatternBelief(known).is_well_founded is founded


@given(st.lists(st.tuples(PATTERN, COVERAGE), max_size=15))
def test_whatever_is_seen_chances_stay_chances(seen: list[tuple[str, dict[str, float]]]) -> None:
    belief = PatternBelief()
    for pattern, refused in seen:
        without = {other: share for other, share in refused.items() if other != pattern}
        belief.note_refusal({}, without)
        belief.note_hit([(pattern, 1.0)], without)

        chances = belief.chances_of({})
        assert all(0 <= chance <= 1 for chance in chances.values())
        assert sum(chances.values()) == pytest.approx(EXISTENCE)
