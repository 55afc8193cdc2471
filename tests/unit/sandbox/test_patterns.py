import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.names import draw_name
from sandbox.patterns import PATTERN_WEIGHTS, ROOM, likely_local_parts, local_parts, spell

names = st.randoms(use_true_random=False).map(draw_name)


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("Grace", "grace"),
        ("Françoise", "francoise"),
        ("Müllner", "mullner"),
        ("van der Linden", "vanderlinden"),
        ("O'Dunley", "odunley"),
        ("Anna-Lena", "anna-lena"),
    ],
)
def test_a_name_is_spelled_without_accents_spaces_and_apostrophes(name: str, spelled: str) -> None:
    assert spell(name) == spelled


def test_every_pattern_makes_its_local_part() -> None:
    assert local_parts("ada", "lovelace") == {
        "first.last": "ada.lovelace",
        "flast": "alovelace",
        "first": "ada",
        "f.last": "a.lovelace",
        "firstl": "adal",
        "firstlast": "adalovelace",
        "last": "lovelace",
        "last.first": "lovelace.ada",
        "first_last": "ada_lovelace",
        "lastfirst": "lovelaceada",
        "first-last": "ada-lovelace",
        "lastf": "lovelacea",
        "first.l": "ada.l",
    }


def test_every_weight_and_every_limit_is_of_a_pattern() -> None:
    patterns = local_parts("ada", "lovelace").keys()

    assert PATTERN_WEIGHTS.keys() == patterns
    assert ROOM.keys() <= patterns
    assert sum(PATTERN_WEIGHTS.values()) == 100


@given(names)
def test_every_invented_name_can_be_spelled_in_plain_letters(name: tuple[str, str]) -> None:
    for part in name:
        assert re.fullmatch("[a-z]+(-[a-z]+)*", spell(part))


@given(names)
def test_the_likely_local_parts_hold_what_every_pattern_makes(name: tuple[str, str]) -> None:
    assert set(local_parts(*map(spell, name)).values()) <= likely_local_parts(*name)


def test_the_likely_local_parts_hold_other_spellings() -> None:
    likely = likely_local_parts("Anna-Lena", "van der Köster")

    assert {"anna.koster", "annalena.vanderkoester", "a.vanderkoster", "anna-lena.van-der-koster"} <= likely
