"""The address patterns: rendering, recognition and weights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contacts import PatternCount
from pipeline.lookup.names.parse import Name, Reading, parse_name
from pipeline.lookup.patterns.patterns import PATTERNS, PRIORS, count_patterns, local_parts, recognise, render

GRACE = Reading("grace", "hopper", 1.0, initials="gb")
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
        ("fmlast", "gbhopper"),
        ("first.m.last", "grace.b.hopper"),
        ("firstmlast", "gracebhopper"),
        ("firstlm", "gracehb"),
        ("lastfm", "hoppergb"),
        ("fml", "gbh"),
        ("first2last", "grhopper"),
        ("firstlast2", "graceho"),
        ("flast2", "gho"),
        ("first4last4", "grachopp"),
        ("lfirst", "hgrace"),
        ("f_last", "g_hopper"),
    ],
)
def test_a_pattern_is_named_for_what_it_makes(pattern: str, local_part: str) -> None:
    assert render(pattern, GRACE) == local_part


def test_people_with_one_name_have_the_one_pattern_that_needs_no_other() -> None:
    assert {pattern for pattern in PATTERNS if render(pattern, Reading("madonella", "", 1.0))} == {"first"}


def test_patterns_with_a_middle_initial_are_for_people_who_have_one() -> None:
    assert render("first.m.last", Reading("grace", "hopper", 1.0, initials="g")) is None


def test_a_family_name_is_cut_off_where_the_local_part_would_have_more_than_eight_characters() -> None:
    assert render("flast7", Reading("anna", "ravensbrooke", 1.0)) == "aravensb"


def test_no_pattern_makes_a_local_part_that_is_too_long() -> None:
    assert all(len(part) <= 64 for part in local_parts(Name((Reading("a" * 40, "b" * 40, 1.0),))))


def test_a_local_part_that_fits_several_patterns_counts_as_the_colleagues_one() -> None:
    people = [
        (parse_name(full_name="Anna Falk"), "annaf"),
        (parse_name(full_name="Zoe Tallin"), "zoet"),
        (parse_name(full_name="Li Wei"), "liw"),
        (parse_name(full_name="Grace Hopper"), "amazing"),
    ]

    counted = count_patterns([(name, local_part) for name, local_part in people if name])

    assert counted == [PatternCount("firstl", 3)]


def test_priors_are_chances() -> None:
    assert sum(PRIORS.values()) == pytest.approx(1)
    assert all(chance > 0 for chance in PRIORS.values())
    assert max(PRIORS, key=PRIORS.__getitem__) == "first.last"


@given(WORDS, WORDS, st.sampled_from(sorted(PATTERNS)))
def test_what_was_rendered_is_recognised_as_something_that_renders_the_same(
    first: str, last: str, pattern: str
) -> None:
    reading = Reading(first, last, 1.0, initials=f"{first[0]}q")
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
        ("grace.hopper2", "first.last"),
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
    readings = Reading(first, last, 0.75, f"{first[0]}q"), Reading(last, first, 0.25, f"{last[0]}q")
    ways = local_parts(Name(readings))

    total = sum(weight for leading in ways.values() for _, weight in leading)

    assert total == pytest.approx(len(PATTERNS))
