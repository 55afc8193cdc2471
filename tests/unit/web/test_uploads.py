"""Which column becomes what, as a form has it."""

from web.views.uploads import mapping_of

HEADINGS = ["Given", "Family", "Site"]
NOTHING = {"first_name": "", "last_name": "", "full_name": "", "company": "", "domain": "", "email": ""}


def test_each_field_has_the_heading_of_its_column_and_others_have_none() -> None:
    form = {"map-0": "first_name", "map-1": "last_name", "map-2": "domain"}

    assert mapping_of(form, HEADINGS, "") == NOTHING | {
        "first_name": "Given",
        "last_name": "Family",
        "domain": "Site",
    }


def test_a_field_that_two_columns_claim_goes_to_the_one_that_was_changed() -> None:
    form = {"map-0": "domain", "map-1": "", "map-2": "domain"}

    assert mapping_of(form, HEADINGS, "map-2")["domain"] == "Site"
    assert mapping_of(form, HEADINGS, "map-0")["domain"] == "Given"
    assert mapping_of(form, HEADINGS, "")["domain"] == "Given"


def test_what_is_no_field_is_nothing() -> None:
    assert mapping_of({"map-0": "shoe_size", "map-7": "domain", "preset": "email"}, HEADINGS, "map-0") == NOTHING
