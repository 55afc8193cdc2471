"""How names are parsed, as a table: the spellings of given and family name in addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lookup.names.parse import MAX_READINGS, parse_name


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
        ("<b>Grace</b>&nbsp;Hopper 🙂", "grace hopper"),
        ("Grace Hopper - ACME Inc.", "grace hopper"),
        ("HOPPER Grace", "grace hopper"),
        ("Grace HOPPER", "grace hopper"),
        ("Hopper Grace HOPPER", "hopper hopper"),
        ("Петровин Иван Сергеевич", "ivan petrovin"),
        ("Kovács István", "istvan kovacs"),
        ("Nguyễn Văn Anh", "anh nguyen"),
        ("Wang Xiaoming", "xiaoming wang"),
        ("Peter Wang", "peter wang"),
        ("Lee Smithers", "lee smithers"),
        ("김민준", "minjun kim"),
        ("Muñoz y Ruiz, Ángel", "angel munozyruiz"),
    ],
)
def test_one_field_is_read(full_name: str, first_of: str) -> None:
    assert spellings(full_name=full_name)[0] == first_of


@pytest.mark.parametrize(
    ("full_name", "among"),
    [
        ("Bob Hopper", ["bob hopper", "robert hopper"]),
        ("Robert Hopper", ["robert hopper", "rob hopper", "bob hopper"]),
        ("Sasha Hopper", ["sasha hopper", "alexander hopper"]),
        ("Gosia Hopper", ["gosia hopper", "malgorzata hopper"]),
        ("Pepe Hopper", ["pepe hopper", "jose hopper"]),
        ('Grace "Amazing" Hopper', ["grace hopper", "amazing hopper"]),
        ("Grace Hopper (née Murrow)", ["grace hopper", "grace murrow"]),
        ("Grace Hopper née Murrow", ["grace hopper", "grace murrow"]),
        ("Сергей Хвостов", ["sergey khvostov", "sergei hvostov"]),
        ("Đorđe Falk", ["djordje falk", "dorde falk"]),
        ("Shōta Ōnoda", ["shota onoda", "shohta ohnoda", "shouta ounoda"]),
        ("Jakob Hoppers Grace", ["jakob grace", "jakob hoppersgrace"]),
    ],
)
def test_other_forms_of_a_name_are_readings_too(full_name: str, among: list[str]) -> None:
    assert set(among) <= set(spellings(full_name=full_name))


@pytest.mark.parametrize(
    ("full_name", "initials"),
    [
        ("Grace Brewster Hopper", "gb"),
        ("Jean-Pierre Hopper", "jp"),
        ("Xiaoming Wang", "xm"),
        ("Min Jun Kim", "mj"),
        ("Nguyễn Văn Anh", "av"),
        ("Grace Hopper", "g"),
    ],
)
def test_initials_are_of_all_given_names_the_one_in_use_first(full_name: str, initials: str) -> None:
    name = parse_name(full_name=full_name)

    assert name is not None
    assert name.readings[0].initials == initials


def test_fields_that_were_filled_in_the_wrong_way_round_are_read_both_ways() -> None:
    assert {"xiaoming wang", "wang xiaoming"} <= set(spellings(first_name="Wang", last_name="Xiaoming"))


@pytest.mark.parametrize(
    ("full_name", "culture"),
    [
        ("Wang Xiaoming", "chinese"),
        ("Wong Ka-fai", "hongkong_taiwan"),
        ("Kim Minjun", "korean"),
        ("Kim Nørgard", ""),
        ("Lee Smithers", ""),
        ("Hiroshi Tanaka", "japanese"),
        ("Trần Thị Hương", "vietnamese"),
        ("Ana García", "spanish"),
        ("Grace Hopper", ""),
    ],
)
def test_the_culture_of_a_name_follows_from_its_family_name_and_the_shape_of_the_rest(
    full_name: str, culture: str
) -> None:
    name = parse_name(full_name=full_name)

    assert name is not None
    assert name.culture == culture


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
