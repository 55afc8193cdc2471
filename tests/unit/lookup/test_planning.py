"""Which probes a round sends, and for whom."""

from pipeline.contacts import PatternCount
from pipeline.lookup.names.parse import parse_name
from pipeline.lookup.patterns.model import PatternModel
from pipeline.lookup.search.planning import ProbePlan, plan_round
from pipeline.lookup.search.target import Target, target_for

KNOWN = PatternModel([PatternCount("flast", 5)])


def people(*full_names: str) -> list[Target]:
    names = [parse_name(full_name=full_name) for full_name in full_names]
    return [target_for(name) for name in names if name is not None]


def crowd(size: int) -> list[Target]:
    return people(*(f"Person{chr(97 + number)} Family{chr(97 + number)}" for number in range(size)))


def probed_people(plan: ProbePlan) -> set[int]:
    return {id(person) for owners in plan.values() for person, _ in owners}


def refuse(person: Target, local_part: str, model: PatternModel) -> None:
    before = dict(person.refused)
    person.probes += 1
    person.note_refusal(local_part)
    model.note_refusal(before, person.refused)


def test_while_the_pattern_is_unknown_few_people_are_probed_however_many_there_are() -> None:
    plan = plan_round(crowd(25), PatternModel())

    assert len(plan) == len(probed_people(plan)) == 1


def test_once_the_pattern_is_known_everybody_is_probed_by_it() -> None:
    everybody = crowd(25)

    plan = plan_round(everybody, KNOWN)

    assert probed_people(plan) == set(map(id, everybody))
    assert {candidate.pattern for owners in plan.values() for _, candidate in owners} == {"flast"}
    assert len(plan) == 25


def test_different_people_try_different_patterns_after_a_refusal() -> None:
    model, everybody = PatternModel(), crowd(3)
    first = next(iter(plan_round(everybody, model)))
    refuse(everybody[0], first, model)

    plan = plan_round(everybody, model)

    patterns = [candidate.pattern for owners in plan.values() for _, candidate in owners]
    assert len(set(patterns)) == len(patterns)


def test_a_local_part_that_namesakes_share_is_probed_once() -> None:
    plan = plan_round(people("John Hopper", "Jane Hopper"), KNOWN)

    assert [len(owners) for owners in plan.values()] == [2]
    assert list(plan) == ["jhopper"]


def test_the_probes_about_a_person_come_to_an_end() -> None:
    model, (person,) = PatternModel(), people("Grace Hopper")
    rounds = 0
    while plan := plan_round([person], model):
        rounds += 1
        for local_part in plan:
            refuse(person, local_part, model)

    assert rounds < 12
    assert person.best(model) is None


def test_an_address_that_belongs_to_somebody_else_or_does_not_exist_is_not_probed() -> None:
    (person,) = people("Grace Hopper")

    person.leave_out(taken={"grace.hopper"}, unknown={"ghopper"}, model=PatternModel())

    best = person.best(PatternModel())
    assert best is not None
    assert best.local_part not in {"grace.hopper", "ghopper"}
    assert person.refused == {"flast": 1.0, "flast7": 1.0}
