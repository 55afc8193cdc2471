"""The list of a person's candidates."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contacts import PatternCount
from pipeline.lookup.names.parse import Name, parse_name
from pipeline.lookup.names.vocabulary import SURNAMES
from pipeline.lookup.patterns.candidates import LIMIT, candidates
from pipeline.lookup.patterns.patterns import PATTERNS
from pipeline.lookup.patterns.priors import COUNTRIES, CULTURES, SIZES, Size, priors_for
from tests.factories import named

DOT_ATOM = re.compile(r"[a-z_-]+(\.[a-z_-]+)*")
NAMES = st.builds(
    lambda first, last: parse_name(first_name=first, last_name=last),
    st.from_regex(r"[A-Z][a-zäöü]{1,9}(-[A-Z][a-z]{1,9})?", fullmatch=True),
    st.from_regex(r"(van der )?[A-Z][a-zäöü]{1,9}(-[A-Z][a-z]{1,9})?", fullmatch=True),
)


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


def test_a_person_with_one_name_has_one_candidate() -> None:
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


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=90))
def test_whatever_is_typed_as_a_name_its_candidates_are_dot_atoms_in_small_letters(
    first: str, last: str, full: str
) -> None:
    name = parse_name(first_name=first, last_name=last, full_name=full)

    for candidate in candidates(name, limit=200) if name else []:
        assert DOT_ATOM.fullmatch(candidate.local_part)
        assert len(candidate.local_part) <= 64


@given(st.text(max_size=60))
def test_the_same_name_gives_the_same_candidates_again(text: str) -> None:
    first, again = (parse_name(full_name=f"{text}{padding}") for padding in ("", " "))

    assert first == again
    assert not first or candidates(first) == candidates(first)


def test_the_country_of_a_domain_counts() -> None:
    anna = named("Anna Vogtland")
    abroad, at_home = ([c.local_part for c in candidates(anna, domain=d)] for d in ("acme.test", "acme.de"))

    assert at_home.index("a.vogtland") < abroad.index("a.vogtland")
    assert at_home.index("anna") > abroad.index("anna")


def test_small_companies_use_given_names_more_than_large_ones() -> None:
    chances = {
        size: {c.local_part: c.probability for c in candidates(named("Grace Hopper"), size=size)} for size in Size
    }

    assert chances[Size.SMALL]["grace"] > chances[Size.UNKNOWN]["grace"] > chances[Size.LARGE]["grace"]


def test_five_known_colleagues_outweigh_what_is_usual() -> None:
    best, second = candidates(named("Grace Hopper"), [PatternCount("f_last", 5)])[:2]

    assert best.local_part == "g_hopper"
    assert best.probability > 5 * second.probability


def test_a_pattern_that_is_not_ours_changes_nothing() -> None:
    assert candidates(named("Grace Hopper"), [PatternCount("no such pattern", 9)]) == candidates(named("Grace Hopper"))


@pytest.mark.parametrize("culture", ["", *SURNAMES])
@pytest.mark.parametrize("domain", ["", "acme.test", *(f"acme.{country}" for country in COUNTRIES)])
def test_priors_are_chances_for_every_culture(culture: str, domain: str) -> None:
    priors = priors_for(culture, domain)

    assert set(priors) == set(PATTERNS)
    assert all(chance > 0 for chance in priors.values())
    assert sum(priors.values()) == pytest.approx(1)


@pytest.mark.parametrize("factors", [*COUNTRIES.values(), *CULTURES.values(), *SIZES.values()])
def test_factors_are_about_existing_patterns(factors: Mapping[str, float]) -> None:
    assert factors.keys() <= PATTERNS.keys()


def test_cultures_with_factors_are_recognised_ones() -> None:
    assert CULTURES.keys() <= {"", *SURNAMES}


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_every_pattern_can_become_the_first_candidate(pattern: str) -> None:
    assert candidates(named("Augusta B. Ravensbrooke"), [PatternCount(pattern, 3)])[0].pattern == pattern
