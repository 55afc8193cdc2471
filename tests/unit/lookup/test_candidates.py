"""The candidate list that a person gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lookup.candidates import LIMIT, candidates
from pipeline.lookup.names import Name, parse_name
from pipeline.lookup.patterns import PATTERNS
from pipeline.records import PatternCount

NAMES = st.builds(
    lambda first, last: parse_name(first_name=first, last_name=last),
    st.from_regex(r"[A-Z][a-zäöü]{1,9}(-[A-Z][a-z]{1,9})?", fullmatch=True),
    st.from_regex(r"(van der )?[A-Z][a-zäöü]{1,9}(-[A-Z][a-z]{1,9})?", fullmatch=True),
)


def named(full_name: str) -> Name:
    name = parse_name(full_name=full_name)
    assert name is not None
    return name


def test_without_knowledge_of_the_domain_the_common_patterns_come_first() -> None:
    assert [candidate.local_part for candidate in candidates(named("Grace Hopper"))][:5] == [
        "grace.hopper",
        "ghopper",
        "grace",
        "graceh",
        "hopper",
    ]


def test_the_pattern_of_the_domain_comes_first_where_it_is_known() -> None:
    best = candidates(named("Grace Hopper"), [PatternCount("last", 5)])[0]

    assert (best.local_part, best.pattern) == ("hopper", "last")
    assert best.probability > 0.6


def test_both_spellings_of_an_umlaut_are_candidates() -> None:
    local_parts = [candidate.local_part for candidate in candidates(named("Jürgen Müllner"))]

    assert local_parts[0] == "juergen.muellner"
    assert "jurgen.mullner" in local_parts[:4]


def test_somebody_of_one_name_has_one_candidate() -> None:
    assert [candidate.local_part for candidate in candidates(named("Madonella"))] == ["madonella"]


@given(NAMES, st.lists(st.builds(PatternCount, st.sampled_from(sorted(PATTERNS)), st.integers(1, 30)), max_size=3))
def test_candidates_are_distinct_ranked_and_few_and_their_chances_sum_to_no_more_than_one(
    name: Name, known: list[PatternCount]
) -> None:
    ranked = candidates(name, known)

    probabilities = [candidate.probability for candidate in ranked]
    assert len({candidate.local_part for candidate in ranked}) == len(ranked) <= LIMIT
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) <= 1 + 1e-9


@given(NAMES, st.integers(0, 5))
def test_a_shorter_list_is_the_beginning_of_the_longer_one(name: Name, limit: int) -> None:
    assert candidates(name, limit=limit) == candidates(name)[:limit]


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_every_pattern_can_become_the_first_candidate(pattern: str) -> None:
    assert candidates(named("Augusta B. Ravensbrooke"), [PatternCount(pattern, 3)])[0].pattern == pattern
