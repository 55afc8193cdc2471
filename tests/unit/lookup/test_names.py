"""How names are read, as a table: the spellings of given and family name that addresses are made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lookup.names import MAX_READINGS, parse_name


def spellings(**fields: str) -> list[str]:
    """The readings of a name as "first last", the likeliest first."""
    name = parse_name(**fields)
    return [f"{reading.first} {reading.last}".strip() for reading in name.readings] if name else []


@pytest.mark.parametrize(
    ("first_name", "last_name", "first_of", "among"),
    [
        ("Grace", "Hopper", "grace hopper", []),
        ("  GRACE ", "hopper", "grace hopper", []),
        ("Dr. Grace", "Hopper, PhD", "grace hopper", []),
        ("Grace", "Hopper Jr.", "grace hopper", []),
        ("Grace (Amazing)", 'Hopper "Gracie"', "grace hopper", []),
        ("Grace B.", "Hopper", "grace hopper", []),
        ("J. Robert", "Oppen", "j oppen", ["robert oppen"]),
        ("Mary Ann", "Hopper", "mary hopper", ["maryann hopper", "mary-ann hopper"]),
        ("Anna-Lena", "Falk", "anna-lena falk", ["annalena falk", "anna falk"]),
        ("Jürgen", "Müllner", "juergen muellner", ["jurgen mullner"]),
        ("Søren", "Åkern", "soren akern", ["soeren aakern"]),
        ("Zoë", "Çelby", "zoe celby", []),
        ("Łukasz", "Wójczak", "lukasz wojczak", []),
        ("İbrahim", "Yıldon", "ibrahim yildon", []),
        ("Владимир", "Ивановский", "vladimir ivanovsky", ["vladimir ivanovskiy"]),
        ("Zoë", "van der Bergen", "zoe vanderbergen", ["zoe bergen", "zoe van-der-bergen"]),
        ("Sean", "O'Branagh", "sean obranagh", []),
        ("Sean", "O’Branagh", "sean obranagh", []),
        ("Anna", "Falk-Ramo", "anna falk-ramo", ["anna falkramo", "anna falk", "anna ramo"]),
        ("Luz", "Garcel Marque", "luz garcelmarque", ["luz garcel", "luz marque"]),
        ("Jack", "Ma", "jack ma", []),
        ("Grace", "-", "grace", []),
        ("", "Hopper", "hopper", []),
        ("Grace", "", "grace", []),
        ("Grace Hopper", "", "grace hopper", []),
    ],
)
def test_two_fields_are_read(first_name: str, last_name: str, first_of: str, among: list[str]) -> None:
    read = spellings(first_name=first_name, last_name=last_name)

    assert read[0] == first_of
    assert set(among) <= set(read)


@pytest.mark.parametrize(
    ("full_name", "first_of"),
    [
        ("Grace Hopper", "grace hopper"),
        ("Grace Brewster Hopper", "grace hopper"),
        ("Hopper, Grace", "grace hopper"),
        ("Hopper, Grace B.", "grace hopper"),
        ("MR GRACE HOPPER JR.", "grace hopper"),
        ("Prof. Dr. Grace Hopper, MBA", "grace hopper"),
        ("Zoë van der Bergen", "zoe vanderbergen"),
        ("van Gond", "van gond"),
        ("Madonella", "madonella"),
        ("Dr. Madonella", "madonella"),
        ("John E. Hopper", "john hopper"),
        ("grace@hopper.test Grace Hopper", "grace hopper"),
    ],
)
def test_one_field_is_read(full_name: str, first_of: str) -> None:
    assert spellings(full_name=full_name)[0] == first_of


def test_first_and_last_name_go_before_the_full_name() -> None:
    assert spellings(first_name="Grace", last_name="Hopper", full_name="Somebody Else") == ["grace hopper"]


def test_the_full_name_helps_out_where_one_of_the_two_is_missing() -> None:
    assert spellings(first_name="G.", full_name="Grace Hopper") == ["grace hopper"]


@pytest.mark.parametrize("text", ["", " ", "-", "123", "...", "???", "Dr.", "\u200b", "🙂"])
def test_a_name_without_letters_is_none(text: str) -> None:
    assert parse_name(full_name=text) is None
    assert parse_name(first_name=text, last_name=text) is None


def test_names_that_are_spelled_alike_are_the_same_name() -> None:
    assert parse_name(full_name="Grace Hopper") == parse_name(first_name="GRACE", last_name="Hopper ")


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_any_name_gives_readings_of_letters_whose_weights_sum_to_one(first: str, last: str, full: str) -> None:
    name = parse_name(first_name=first, last_name=last, full_name=full)

    if name is not None:
        assert 1 <= len(name.readings) <= MAX_READINGS
        assert sum(reading.weight for reading in name.readings) == pytest.approx(1)
        for reading in name.readings:
            assert reading.first
            assert set(reading.first + reading.last) <= set("abcdefghijklmnopqrstuvwxyz-.")
