"""The pattern model of a domain learns from hits and refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contacts import PatternCount
from pipeline.lookup.patterns.model import EXISTENCE, PatternModel
from pipeline.lookup.patterns.patterns import PATTERNS, PRIORS

PATTERN = st.sampled_from(sorted(PATTERNS))
COVERAGE = st.dictionaries(PATTERN, st.floats(0.05, 1.0), max_size=10)


def test_at_first_the_priors_are_all_there_is() -> None:
    model = PatternModel()

    assert model.dominant is None
    assert model.chances_of({}) == pytest.approx({p: EXISTENCE * chance for p, chance in PRIORS.items()})


@given(PATTERN)
def test_two_hits_of_one_pattern_make_it_the_dominant_one(pattern: str) -> None:
    model = PatternModel()
    model.note_hit([(pattern, 1.0)], {})
    model.note_hit([(pattern, 1.0)], {})

    assert model.dominant == pattern
    assert max(model.chances_of({}).items(), key=lambda item: item[1])[0] == pattern


def test_one_deviating_hit_does_not_overturn_many() -> None:
    model = PatternModel([PatternCount("flast", 10)])

    model.note_hit([("first.last", 1.0)], {})

    assert model.dominant == "flast"


def test_the_more_hits_agree_the_less_is_left_for_other_patterns() -> None:
    left = []
    model = PatternModel()
    for _ in range(5):
        model.note_hit([("flast", 1.0)], {})
        left.append(model.chances_of({"flast": 1.0})["first.last"])

    assert left == sorted(left, reverse=True)


def test_a_refusal_makes_other_patterns_likelier_for_the_others() -> None:
    model = PatternModel()
    before = model.chances_of({})["flast"]

    model.note_refusal({}, {"first.last": 1.0})

    assert model.chances_of({})["flast"] > before
    assert model.chances_of({})["first.last"] < EXISTENCE * PRIORS["first.last"]


def test_the_more_was_refused_to_a_person_the_less_likely_is_there_any_address() -> None:
    refused: dict[str, float] = {}
    total_left = []
    for pattern in PATTERNS:
        chances = PatternModel().chances_of(refused)
        total_left.append(sum(chance for name, chance in chances.items() if name not in refused))
        refused[pattern] = 1.0

    assert total_left == sorted(total_left, reverse=True)


def test_supposing_something_changes_nothing_for_others() -> None:
    model = PatternModel()
    before = dict(model.chances_of({}))

    supposed = model.copy()
    supposed.note_hit([("fl", 1.0)], {})

    assert model.chances_of({}) == before
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
    assert PatternModel(known).is_well_founded is founded


@given(st.lists(st.tuples(PATTERN, COVERAGE), max_size=15))
def test_after_any_hits_and_refusals_chances_stay_chances(seen: list[tuple[str, dict[str, float]]]) -> None:
    model = PatternModel()
    for pattern, refused in seen:
        without = {other: share for other, share in refused.items() if other != pattern}
        model.note_refusal({}, without)
        model.note_hit([(pattern, 1.0)], without)

        chances = model.chances_of({})
        assert all(0 <= chance <= 1 for chance in chances.values())
        assert sum(chances.values()) == pytest.approx(EXISTENCE)
