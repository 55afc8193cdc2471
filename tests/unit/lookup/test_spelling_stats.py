"""A domain's spelling styles, as its addresses show."""

import pytest

from pipeline.lookup.names.parse import Name
from pipeline.lookup.patterns.spelling_stats import SpellingStyles
from tests.factories import named
from tests.unit.lookup.looking_up import ACME, contacts, look_up
from tests.unit.mail.servers.scripted_servers import mail_host


def likeliest(name: Name) -> str:
    best = max(name.readings, key=lambda reading: reading.weight)
    return f"{best.first}.{best.last}"


@pytest.mark.parametrize(
    ("colleague", "address", "person", "expected"),
    [
        ("Jürgen Müller", "jurgen.muller", "Björn Köhler", "bjorn.kohler"),
        ("Jürgen Müller", "juergen.mueller", "Björn Köhler", "bjoern.koehler"),
        ("Pieter van den Berg", "pieter.berg", "Joost van Dijk", "joost.dijk"),
        ("Jean-Luc Martin", "jeanluc.martin", "Marie-Claire Dubois", "marieclaire.dubois"),
        ("Trần Minh Châu", "minhchau.tran", "Lê Gia Huy", "giahuy.le"),
    ],
)
def test_what_one_address_shows_is_expected_of_the_next(
    colleague: str, address: str, person: str, expected: str
) -> None:
    styles = SpellingStyles()

    styles.note(named(colleague), address, "first.last")

    assert likeliest(styles.spelled(named(person))) == expected


@pytest.mark.parametrize(("address", "pattern"), [("jmuller", "f.last"), ("jurgen", "firstlast")])
def test_an_address_that_leaves_open_how_it_was_spelled_shows_nothing(address: str, pattern: str) -> None:
    styles, other = SpellingStyles(), named("Björn Köhler")

    styles.note(named("Jürgen Müller"), address, pattern)

    assert styles.version == 0
    assert styles.spelled(other) is other


def test_names_with_nothing_to_choose_stay_as_they_are() -> None:
    styles, grace = SpellingStyles(), named("Grace Hopper")

    styles.note(named("Jürgen Müller"), "jurgen.muller", "first.last")

    assert styles.spelled(grace) is grace


def test_the_weights_of_all_readings_still_add_up_to_one() -> None:
    styles = SpellingStyles()

    styles.note(named("Pieter van den Berg"), "pieter.berg", "first.last")

    assert sum(each.weight for each in styles.spelled(named("Joost van Dijk")).readings) == pytest.approx(1)


def test_colleagues_are_probed_first_in_the_domains_spelling() -> None:
    names = ["Jürgen Müller", "Björn Köhler", "Käthe Schröder", "Günther Krüger", "Sören Möller"]
    plain = [name.lower().translate(str.maketrans("üöä", "uoa")).replace(" ", ".") for name in names]

    outcomes, seen = look_up(contacts(*names), {ACME: mail_host(*plain)})

    assert [outcomes[position].email for position in range(5)] == [f"{each}@{ACME}" for each in plain]
    assert len(seen[ACME].verbs("RCPT")) <= 12
