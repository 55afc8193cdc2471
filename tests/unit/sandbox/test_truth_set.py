import random
import re
from collections import Counter

import pytest

from sandbox.domains import Behaviour
from sandbox.truth import Mailbox
from sandbox.truth_set.addresses import FORMS, Naming, Scheme
from sandbox.truth_set.cultures import TrueName, Word, cultures
from sandbox.truth_set.employees import TruthSet, invent_truth_set
from sandbox.truth_set.spelling import Spelling
from sandbox.truth_set.writing import Written, write_name


@pytest.fixture(scope="module")
def truth() -> TruthSet:
    return invent_truth_set(seed=5, people=2000, domains=160)


def named(culture: str, given: str, family: str) -> TrueName:
    return TrueName(culture, Word(given, given), Word(family, family))


def test_the_same_seed_invents_the_same_people_and_another_seed_others() -> None:
    small = [invent_truth_set(seed, people=300, domains=30) for seed in (1, 1, 2)]

    assert small[0] == small[1]
    assert small[0] != small[2]


def test_there_are_as_many_people_as_asked_for_of_every_culture(truth: TruthSet) -> None:
    assert len(truth.employees) == 2000
    assert {employee.culture for employee in truth.employees} == set(cultures())


def test_companies_have_every_behaviour_and_sizes_from_one_to_hundreds(truth: TruthSet) -> None:
    sizes = Counter(company.size for company in truth.companies)

    assert {company.domain.behaviour for company in truth.companies} == set(Behaviour)
    assert sizes[1] == 48
    assert max(sizes) > 60


def test_addresses_are_plain_and_no_two_people_share_one(truth: TruthSet) -> None:
    emails = [employee.email for employee in truth.employees if employee.email]

    assert len(set(emails)) == len(emails)
    assert all(re.fullmatch(r"[a-z0-9._-]+@[a-z-]+\.(test|example)", email) for email in emails)


def test_findable_people_have_a_mailbox_and_others_have_a_reason(truth: TruthSet) -> None:
    for employee in truth.employees:
        if employee.findable:
            assert employee.mailbox in {Mailbox.OPEN, Mailbox.FULL}
        else:
            assert employee.reason_not_found


@pytest.mark.parametrize(
    ("name", "plain", "written_out"),
    [
        (named("german", "Jürgen", "Groß"), "jurgen gross", "juergen gross"),
        (named("nordic", "Åsa", "Sørensen"), "asa sorensen", "aasa soerensen"),
        (named("polish", "Łukasz", "Wójcik"), "lukasz wojcik", "lukasz wojcik"),
        (named("turkish", "Işıl", "İnce"), "isil ince", "isil ince"),
        (named("dutch", "Jan", "van 't Hoff"), "jan vanthoff", "jan vanthoff"),
        (named("vietnamese", "Văn Minh", "Đỗ"), "minh do", "minh do"),
    ],
)
def test_companies_spell_names_by_their_conventions(name: TrueName, plain: str, written_out: str) -> None:
    for expected, out in ((plain, False), (written_out, True)):
        spelling = Spelling(written_out=out, particles="joined", double_family="first", double_given="first")
        assert f"{spelling.given(name)} {spelling.family(name)}" == expected


@pytest.fixture
def rng() -> random.Random:
    return random.Random(1)  # noqa: S311 - repeatable is the point


def test_a_second_person_with_the_address_gets_a_fuller_one_or_a_number(rng: random.Random) -> None:
    spelling = Spelling(written_out=False, particles="joined", double_family="first", double_given="first")
    jane, taken = named("english", "Jane", "Smith"), {"jsmith"}

    numbered = Scheme(Naming.NUMBERED, ("flast",), spelling).local_part(rng, jane, taken)
    fuller = Scheme(Naming.SINGLE, ("flast",), spelling).local_part(rng, jane, taken)

    assert numbered == ("jsmith2", False)
    assert fuller == ("jane.smith", True)


def test_a_written_name_still_holds_the_name(rng: random.Random) -> None:
    culture = cultures()["czech"]
    name = named("czech", "Hana", "Malý")

    written = [write_name(rng, name, culture) for _ in range(200)]

    assert Written(first_name="Hana", last_name="Malý") in written
    assert any("," in each.full_name for each in written)
    assert all("hana" in f"{each.first_name} {each.full_name}".lower() for each in written)


def test_every_form_is_made_of_both_names_or_one() -> None:
    made = {form: make("ada", "byron") for form, (make, _) in FORMS.items()}

    assert made["first.last"] == "ada.byron"
    assert len(set(made.values())) == len(FORMS)
