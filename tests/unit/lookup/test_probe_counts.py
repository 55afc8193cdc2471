"""How many probes a search sends to a server that accepts and refuses truthfully."""

from itertools import repeat

import pytest

from pipeline.contacts import PatternCount
from pipeline.lookup.patterns.patterns import PRIORS
from pipeline.outcomes import OutcomeStatus, Reason
from tests.unit.lookup.looking_up import ACME, contacts, look_up, summary
from tests.unit.mail.servers.scripted_servers import Seen, mail_host


def crowd(size: int) -> list[str]:
    return [
        f"Person{chr(97 + n // 26)}{chr(97 + n % 26)} Family{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(size)
    ]


def commands(seen: Seen) -> int:
    return len(seen.commands)


def test_after_a_refusal_of_a_candidate_no_random_address_is_probed() -> None:
    outcomes, seen = look_up(contacts("Grace Hopper"), {ACME: mail_host("ghopper")})

    assert seen[ACME].verbs("RCPT") == ["RCPT TO:<grace.hopper@acme.test>", "RCPT TO:<ghopper@acme.test>"]
    assert outcomes[0].evidence.catch_all is False


def test_an_acceptance_of_the_first_probe_is_checked_with_a_random_address() -> None:
    _, seen = look_up(contacts("Grace Hopper"), {ACME: mail_host("grace.hopper")})

    assert len(seen[ACME].verbs("RCPT")) == 2


def test_a_dozen_colleagues_cost_less_than_three_commands_each() -> None:
    names = crowd(12)

    outcomes, seen = look_up(
        contacts(*names), {ACME: mail_host(*(f"{name[0]}{name.split()[1]}".lower() for name in names))}
    )

    assert {outcome.status for outcome in outcomes.values()} == {OutcomeStatus.FOUND}
    assert commands(seen[ACME]) < 2 * 12


def test_a_person_without_an_address_by_the_domains_pattern_costs_few_probes() -> None:
    known = {ACME: [PatternCount("first.last", 40)]}

    outcomes, seen = look_up(contacts("Grace Hopper"), {ACME: mail_host("alan.turinger")}, known)

    assert summary(outcomes) == [(None, Reason.EVERY_CANDIDATE_REFUSED)]
    assert len(seen[ACME].verbs("RCPT")) <= 4


def test_a_second_pattern_is_searched_for_when_the_first_leaves_several_people_unexplained() -> None:
    names = crowd(20)
    newer = [name.lower().replace(" ", ".") for name in names[:14]]
    older = ["".join(reversed(name.lower().split())) for name in names[14:]]

    outcomes, seen = look_up(contacts(*names), {ACME: mail_host(*newer, *older)})

    assert [email for email, _ in summary(outcomes)] == [f"{local_part}@{ACME}" for local_part in (*newer, *older)]
    assert commands(seen[ACME]) < 4 * 20


def test_a_third_pattern_is_searched_for_while_more_people_are_unexplained_than_expected() -> None:
    names = crowd(60)
    forms = ["{0}.{1}"] * 30 + ["{0[0]}.{1}"] * 15 + ["{1}{0}"] * 15
    mailboxes = [form.format(*name.lower().split()) for form, name in zip(forms, names, strict=True)]

    outcomes, seen = look_up(contacts(*names), {ACME: mail_host(*mailboxes)})

    assert [email for email, _ in summary(outcomes)] == [f"{local_part}@{ACME}" for local_part in mailboxes]
    assert commands(seen[ACME]) < 4 * 60


def test_a_person_whose_candidates_were_refused_is_probed_by_a_pattern_that_others_show_later() -> None:
    names = crowd(60)
    older = {0, *range(45, 60)}
    mailboxes = [
        "".join(reversed(name.lower().split())) if place in older else name.lower().replace(" ", ".")
        for place, name in enumerate(names)
    ]

    outcomes, _ = look_up(contacts(*names), {ACME: mail_host(*mailboxes)})

    assert outcomes[0].email == f"{mailboxes[0]}@{ACME}"


def test_no_second_pattern_is_searched_for_while_no_more_people_are_unexplained_than_expected() -> None:
    names = crowd(40)

    outcomes, seen = look_up(
        contacts(*names), {ACME: mail_host(*(name.lower().replace(" ", ".") for name in names[:36]))}
    )

    assert [outcomes[place].reason for place in range(36, 40)] == [Reason.EVERY_CANDIDATE_REFUSED] * 4
    assert len(seen[ACME].verbs("RCPT")) < 36 + 4 * 5


@pytest.mark.parametrize("address", ["grace.hopper", "ghopper", "gracehopper", "hopper"])
def test_a_list_of_strangers_does_not_make_those_who_work_there_unfindable(address: str) -> None:
    """Another account's, perhaps: what was refused is shared."""
    commonest = sorted(PRIORS, key=PRIORS.__getitem__, reverse=True)
    times_refused = (87, 87, 30, 20, 20, 8, 8, 8, 8, 8, 8)
    known = {ACME: [PatternCount(*counts) for counts in zip(commonest, repeat(0), times_refused, strict=False)]}

    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: mail_host(address)}, known)

    assert [email for email, _ in summary(outcomes)] == [f"{address}@{ACME}"]


def test_patterns_that_were_refused_before_are_probed_last() -> None:
    known = {ACME: [PatternCount("first.last", 0, 9)]}

    _, seen = look_up(contacts("Grace Hopper"), {ACME: mail_host("ghopper")}, known)

    assert seen[ACME].verbs("RCPT")[0] == "RCPT TO:<ghopper@acme.test>"
