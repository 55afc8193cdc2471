"""The address patterns: rendered, recognised, and weighed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lookup.names import Name, Reading, parse_name
from pipeline.lookup.patterns import PATTERNS, PRIORS, local_parts, recognise, render

GRACE = Reading("grace", "hopper", 1.0)
WORDS = st.from_regex(r"[a-z]{2,12}", fullmatch=True)


@pytest.mark.parametrize(
    ("pattern", "local_part"),
    [
        ("first.last", "grace.hopper"),
        ("flast", "ghopper"),
        ("first", "grace"),
        ("firstl", "graceh"),
        ("lastfirst", "hoppergrace"),
        ("last", "hopper"),
        ("firstlast", "gracehopper"),
        ("f.last", "g.hopper"),
        ("last.first", "hopper.grace"),
        ("first_last", "grace_hopper"),
        ("first-last", "grace-hopper"),
        ("lastf", "hopperg"),
        ("first.l", "grace.h"),
        ("fl", "gh"),
    ],
)
def test_a_pattern_is_named_for_what_it_makes(pattern: str, local_part: str) -> None:
    assert render(pattern, GRACE) == local_part


def test_people_of_one_name_have_the_one_pattern_that_needs_no_other() -> None:
    assert {pattern for pattern in PATTERNS if render(pattern, Reading("madonella", "", 1.0))} == {"first"}


def test_priors_are_chances() -> None:
    assert sum(PRIORS.values()) == pytest.approx(1)
    assert all(chance > 0 for chance in PRIORS.values())
    assert max(PRIORS, key=PRIORS.__getitem__) == "first.last"


@given(WORDS, WORDS, st.sampled_from(sorted(PATTERNS)))
def test_what_was_rendered_is_recognised_as_something_that_renders_the_same(
    first: str, last: str, pattern: str
) -> None:
    reading = Reading(first, last, 1.0)
    local_part = render(pattern, reading)

    recognised = recognise(local_part or "", Name((reading,)))

    assert recognised is not None
    assert render(recognised, reading) == local_part
    assert PRIORS[recognised] >= PRIORS[pattern]


@pytest.mark.parametrize(
    ("local_part", "pattern"),
    [
        ("grace.hopper", "first.last"),
        ("Grace.Hopper", "first.last"),
        ("ghopper+news", "flast"),
        ("amazing", None),
        ("", None),
    ],
)
def test_a_local_part_is_recognised_for_a_person(local_part: str, pattern: str | None) -> None:
    grace = parse_name(full_name="Grace Hopper")

    assert grace is not None
    assert recognise(local_part, grace) == pattern


@given(WORDS, WORDS)
def test_the_ways_to_all_local_parts_carry_each_reading_once_per_pattern(first: str, last: str) -> None:
    ways = local_parts(Name((Reading(first, last, 0.75), Reading(last, first, 0.25))))

    total = sum(weight for leading in ways.values() for _, weight in leading)

    assert total == pytest.approx(len(PATTERNS))
