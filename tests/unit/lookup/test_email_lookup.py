"""The look-up stage against scripted mail servers: what it asks, what it finds, and why it does not."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from pipeline.records import Batch, PatternCount, Record
from pipeline.stages import stage_named
from tests.unit.mail.scripted_servers import Reply, Seen, Talk, drips, mail_host, says_nothing, world

ACME = "acme.test"


def look_up(
    records: Sequence[Record],
    servers: Mapping[str, Reply | Talk],
    known: Mapping[str, Sequence[PatternCount]] | None = None,
    **config: Any,
) -> tuple[dict[int, Outcome], dict[str, Seen]]:
    async def scenario() -> tuple[dict[int, Outcome], dict[str, Seen]]:
        async with world(servers, **config) as scripted:
            batch = Batch(records, known or {})
            outcomes = [found async for found in stage_named("email_lookup").stage.work(batch, scripted.network)]
            assert sorted(found.position for found in outcomes) == sorted(each.position for each in records)
            return {found.position: found for found in outcomes}, scripted.seen

    return asyncio.run(scenario())


def contacts(*full_names: str, domain: str = ACME) -> list[Record]:
    return [Record(position, full_name=name, domain=domain) for position, name in enumerate(full_names)]


def summary(outcomes: Mapping[int, Outcome]) -> list[tuple[str | None, Reason]]:
    return [(outcomes[position].email, outcomes[position].reason) for position in sorted(outcomes)]


def test_an_address_is_found_with_its_evidence() -> None:
    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: mail_host("ghopper")})

    found = outcomes[0]
    assert (found.status, found.reason) == (OutcomeStatus.FOUND, Reason.MAILBOX_EXISTS)
    assert (found.email, found.source) == ("ghopper@acme.test", "permutation")
    assert found.score > 80
    assert found.evidence["pattern"] == "flast"
    assert found.evidence["catch_all"] is False
    assert (found.evidence["mail_host"], found.evidence["reply_code"]) == ("mx.acme.test", 250)
    assert {"reply_text", "asked_at", "asked"} <= set(found.evidence)


def test_what_one_person_teaches_about_the_domain_spares_questions_about_the_others() -> None:
    names = [f"Person{chr(97 + number)} Family{chr(97 + number)}" for number in range(20)]
    mailboxes = [name.lower().replace(" ", "_") for name in names]

    outcomes, seen = look_up(contacts(*names), {ACME: mail_host(*mailboxes)})

    assert [email for email, _ in summary(outcomes)] == [f"{mailbox}@{ACME}" for mailbox in mailboxes]
    assert len(seen[ACME].verbs("RCPT")) < 40
    assert seen[ACME].sessions == 1
    assert {outcome.source for outcome in outcomes.values()} == {"permutation", "pattern"}


def test_a_pattern_that_is_known_is_asked_first() -> None:
    known = {ACME: [PatternCount("lastf", 5)]}

    outcomes, seen = look_up(contacts("Grace Hopper"), {ACME: mail_host("hopperg")}, known)

    assert outcomes[0].source == "pattern"
    assert len(seen[ACME].verbs("RCPT")) == 2, "the address, and an invented one"


def test_nobody_is_found_where_every_candidate_is_refused() -> None:
    outcomes, seen = look_up(contacts("Grace Hopper"), {ACME: mail_host("alan")})

    assert summary(outcomes) == [(None, Reason.EVERY_CANDIDATE_REFUSED)]
    assert outcomes[0].evidence["reply_code"] == 550
    assert outcomes[0].evidence["asked"] == len(seen[ACME].verbs("RCPT")) <= 20


def test_a_full_mailbox_is_a_mailbox() -> None:
    full = {"RCPT TO:<grace.hopper@": b"452 4.2.2 mailbox is full"}

    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: mail_host(replies=full)})

    assert outcomes[0].status is OutcomeStatus.FOUND
    assert summary(outcomes) == [("grace.hopper@acme.test", Reason.MAILBOX_FULL)]


def test_a_disabled_mailbox_means_that_the_person_has_left() -> None:
    disabled = {"RCPT TO:<grace.hopper@": b"550 5.2.1 this account has been disabled"}

    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: mail_host(replies=disabled)})

    assert summary(outcomes) == [(None, Reason.MAILBOX_DISABLED)]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"451 4.7.1 Greylisting in action", Reason.GREYLISTED),
        (b"550 5.7.1 Client host blocked using dnsbl.test", Reason.BLOCKED),
        (b"421 4.7.0 too many connections", Reason.RATE_LIMITED),
        (b"550 5.7.1 refused by policy", Reason.POLICY),
        (b"450 4.3.2 something is wrong", Reason.SERVER_UNCLEAR),
    ],
)
def test_a_server_that_does_not_tell_is_never_taken_for_one_that_refuses(reply: bytes, reason: Reason) -> None:
    people = contacts(*(f"Person{letter} Family{letter}" for letter in "abcdefgh"))

    outcomes, seen = look_up(people, {ACME: mail_host(replies={"RCPT": reply})})

    assert summary(outcomes) == [(None, reason)] * 8
    assert len(seen[ACME].verbs("RCPT")) < 20


def test_an_answer_that_settles_nothing_does_not_hide_a_later_one_that_does() -> None:
    odd = {"RCPT TO:<grace.hopper@": b"450 4.3.2 something is wrong"}

    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: mail_host("ghopper", replies=odd)})

    assert summary(outcomes) == [("ghopper@acme.test", Reason.MAILBOX_EXISTS)]


def test_a_transient_no_such_user_leads_on_to_the_address_that_is_accepted() -> None:
    soft = mail_host("hopper.grace", unknown=b"450 4.1.1 user unknown")

    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: soft})

    assert summary(outcomes) == [("hopper.grace@acme.test", Reason.MAILBOX_EXISTS)]


def test_a_transient_no_such_user_is_no_refusal() -> None:
    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: mail_host(unknown=b"450 4.1.1 user unknown")})

    assert summary(outcomes) == [(None, Reason.SERVER_UNCLEAR)]


def test_refusals_do_not_hide_an_answer_that_settles_nothing() -> None:
    odd = {"RCPT TO:<grace.hopper@": b"450 4.3.2 something is wrong"}

    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: mail_host(replies=odd)})

    assert summary(outcomes) == [(None, Reason.SERVER_UNCLEAR)]


# Catch-alls

EVERYBODY = mail_host(unknown=b"250 2.1.5 Ok")


def test_a_catch_all_domain_finds_nobody_and_is_left_after_few_questions() -> None:
    people = contacts(*(f"Person{letter} Family{letter}" for letter in "abcdefghijkl"))

    outcomes, seen = look_up(people, {ACME: EVERYBODY})

    assert summary(outcomes) == [(None, Reason.CATCH_ALL)] * 12
    assert len(seen[ACME].verbs("RCPT")) <= 6


def test_at_a_catch_all_domain_a_well_confirmed_pattern_speaks() -> None:
    known = {ACME: [PatternCount("flast", 4)]}

    outcomes, _ = look_up(contacts("Grace Hopper", "Alan Turinger"), {ACME: EVERYBODY}, known)

    assert [email for email, _ in summary(outcomes)] == ["ghopper@acme.test", "aturinger@acme.test"]
    assert {(found.status, found.reason, found.source) for found in outcomes.values()} == {
        (OutcomeStatus.FOUND, Reason.CATCH_ALL, "pattern")
    }
    assert all(found.evidence["catch_all"] is True for found in outcomes.values())
    assert all(40 <= found.score <= 70 for found in outcomes.values())


@pytest.mark.parametrize("known", [[PatternCount("flast", 2)], [PatternCount("flast", 3), PatternCount("first", 3)]])
def test_at_a_catch_all_domain_a_weak_pattern_does_not_speak(known: list[PatternCount]) -> None:
    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: EVERYBODY}, {ACME: known})

    assert summary(outcomes) == [(None, Reason.CATCH_ALL)]


def test_a_yes_is_not_believed_while_nothing_shows_that_the_server_also_says_no() -> None:
    unclear = mail_host("grace.hopper", unknown=b"451 4.7.1 greylisted")

    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: unclear})

    assert outcomes[0].status is OutcomeStatus.NOT_FOUND


def test_a_refusal_shows_what_an_unclear_probe_did_not() -> None:
    def reply(command: str) -> bytes | None:
        if command.startswith("RCPT") and "hopper" not in command:
            return b"451 4.7.1 greylisted"
        return mail_host("ghopper")(command)

    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: reply})

    assert summary(outcomes) == [("ghopper@acme.test", Reason.MAILBOX_EXISTS)]
    assert outcomes[0].evidence["catch_all"] is None


def test_a_refusal_in_the_same_round_shows_it_too() -> None:
    def reply(command: str) -> bytes | None:
        if command.startswith("RCPT") and "hopper" not in command:
            return b"451 4.7.1 greylisted"
        return mail_host("ghopper")(command)

    known = {ACME: [PatternCount("flast", 10)]}

    outcomes, _ = look_up(contacts("Grace Hopper", "Zoe Hopper"), {ACME: reply}, known)

    assert outcomes[0].email == "ghopper@acme.test"


def test_somebody_who_is_put_off_is_not_asked_about_again_while_others_are_found() -> None:
    known = {ACME: [PatternCount("flast", 10)]}
    put_off = {"RCPT TO:<zhopper@": b"451 4.7.1 greylisted"}

    outcomes, seen = look_up(
        contacts("Grace Hopper", "Zoe Hopper"), {ACME: mail_host("ghopper", replies=put_off)}, known
    )

    assert summary(outcomes) == [("ghopper@acme.test", Reason.MAILBOX_EXISTS), (None, Reason.GREYLISTED)]
    assert len(seen[ACME].verbs("RCPT")) == 3, "one for each, and an invented one"


# Namesakes


def test_contacts_of_one_name_are_one_person() -> None:
    outcomes, seen = look_up(contacts("Grace Hopper", "GRACE HOPPER"), {ACME: mail_host("grace.hopper")})

    assert [email for email, _ in summary(outcomes)] == ["grace.hopper@acme.test"] * 2
    assert seen[ACME].verbs("RCPT").count("RCPT TO:<grace.hopper@acme.test>") == 1


def test_one_address_is_not_given_to_two_people() -> None:
    known = {ACME: [PatternCount("flast", 10)]}

    outcomes, _ = look_up(contacts("Jane Hopper", "John Hopper"), {ACME: mail_host("jhopper")}, known)

    found = [email for email, _ in summary(outcomes) if email]
    assert found == ["jhopper@acme.test"]


def test_namesakes_both_get_what_each_of_them_has() -> None:
    known = {ACME: [PatternCount("flast", 10)]}

    outcomes, _ = look_up(contacts("Jane Hopper", "John Hopper"), {ACME: mail_host("jhopper", "john.hopper")}, known)

    assert {email for email, _ in summary(outcomes)} == {"jhopper@acme.test", "john.hopper@acme.test"}


def test_an_address_that_a_contact_brought_is_not_given_to_a_colleague() -> None:
    records = [
        Record(0, full_name="Jane Hopper", email="jhopper@acme.test"),
        Record(1, full_name="John Hopper", domain=ACME),
    ]

    outcomes, _ = look_up(records, {ACME: mail_host("jhopper", "johnh")})

    assert summary(outcomes) == [("jhopper@acme.test", Reason.INPUT), ("johnh@acme.test", Reason.MAILBOX_EXISTS)]


# What needs no asking


def test_an_address_that_the_contact_brought_is_taken_without_asking() -> None:
    outcomes, seen = look_up([Record(0, full_name="Grace Hopper", email=" GHopper@ACME.test ")], {ACME: mail_host()})

    found = outcomes[0]
    assert (found.status, found.reason, found.source) == (OutcomeStatus.FOUND, Reason.INPUT, "input")
    assert found.email == "GHopper@acme.test"
    assert found.evidence == {"pattern": "flast"}
    assert seen[ACME].sessions == 0


def test_addresses_that_contacts_brought_teach_the_pattern() -> None:
    brought = [
        Record(position, full_name=name, email=f"{name.split()[1].lower()}{name[0].lower()}@acme.test")
        for position, name in enumerate(["Ada Lovell", "Alan Turinger", "Kurt Godelin"])
    ]

    outcomes, seen = look_up([*brought, Record(9, full_name="Grace Hopper", domain=ACME)], {ACME: mail_host("hopperg")})

    assert outcomes[9].email == "hopperg@acme.test"
    assert seen[ACME].verbs("RCPT")[0] == "RCPT TO:<hopperg@acme.test>"


def test_a_malformed_address_is_looked_up_if_name_and_domain_allow_it() -> None:
    records = [
        Record(0, full_name="Grace Hopper", domain=ACME, email="grace at acme"),
        Record(1, full_name="Grace Hopper", email="grace at acme"),
    ]

    outcomes, _ = look_up(records, {ACME: mail_host("grace.hopper")})

    assert summary(outcomes) == [("grace.hopper@acme.test", Reason.MAILBOX_EXISTS), (None, Reason.SYNTAX)]


def test_unusable_input_has_its_reason() -> None:
    records = [
        Record(0, full_name="???", domain=ACME),
        Record(1, full_name="Grace Hopper", domain="Acme Inc."),
        Record(2, full_name="Grace Hopper"),
        Record(3, full_name="Grace Hopper", domain="gone.test"),
    ]

    outcomes, _ = look_up(records, {ACME: mail_host()})

    assert [reason for _, reason in summary(outcomes)] == [
        Reason.NAME_UNUSABLE,
        Reason.DOMAIN_UNUSABLE,
        Reason.DOMAIN_UNUSABLE,
        Reason.NO_SUCH_DOMAIN,
    ]


def test_a_website_will_do_for_a_domain() -> None:
    outcomes, _ = look_up(contacts("Grace Hopper", domain="https://www.Acme.test/about"), {ACME: mail_host("grace")})

    assert outcomes[0].email == "grace@acme.test"


# Time


@pytest.mark.parametrize(
    ("behaviour", "command_timeout", "reason"),
    [(drips, 5, Reason.TIME_LIMIT), (says_nothing, 0.1, Reason.SERVER_UNREACHABLE)],
)
def test_a_tarpit_costs_one_time_limit_however_many_people_it_has(
    behaviour: Talk, command_timeout: float, reason: Reason
) -> None:
    people = contacts(*(f"Person{chr(97 + n // 26)} Family{chr(97 + n % 26)}" for n in range(60)))

    outcomes, seen = look_up(people, {ACME: behaviour}, record_timeout=0.3, command_timeout=command_timeout)

    assert {reason for _, reason in summary(outcomes)} == {reason}
    assert seen[ACME].sessions == 1


def test_a_slow_server_is_asked_about_as_many_people_as_it_can_answer_for_in_time() -> None:
    names = [f"Person{chr(97 + number)} Family{chr(97 + number)}" for number in range(12)]
    mailboxes = [name.lower().replace(" ", ".") for name in names]

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ordinary, command = mail_host(*mailboxes), ""
        while command != "QUIT":
            await asyncio.sleep(0.03)
            writer.write((ordinary(command) or b"") + b"\r\n")
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")

    outcomes, _ = look_up(contacts(*names), {ACME: slow}, record_timeout=0.45)

    assert [email for email, _ in summary(outcomes)] == [f"{mailbox}@{ACME}" for mailbox in mailboxes]


def test_a_server_that_stalls_once_costs_only_those_who_were_asked_about() -> None:
    names = [f"Person{chr(97 + number)} Family{chr(97 + number)}" for number in range(12)]
    mailboxes = [name.lower().replace(" ", ".") for name in names if name != "Personb Familyb"]
    ordinary, stalled = mail_host(*mailboxes), []

    async def stalls_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = ""
        while command != "QUIT":
            writer.write((ordinary(command) or b"") + b"\r\n")
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")
            if "personc" in command and not stalled:
                stalled.append(command)
                await reader.read()
                return

    outcomes, _ = look_up(contacts(*names), {ACME: stalls_once}, record_timeout=0.3)

    reasons = [reason for _, reason in summary(outcomes)]
    assert set(reasons) == {Reason.TIME_LIMIT, Reason.MAILBOX_EXISTS}
    assert reasons.count(Reason.TIME_LIMIT) <= 5
