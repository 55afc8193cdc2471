"""The look-up stage against scripted mail servers: its probes, its findings and their reasons."""

import asyncio

import pytest

from pipeline.contacts import Contact, PatternCount
from pipeline.evidence import Evidence
from pipeline.outcomes import OutcomeStatus, Reason
from tests.unit.lookup.looking_up import ACME, contacts, look_up, summary
from tests.unit.mail.servers.scripted_servers import Talk, drips, mail_host, says_nothing


def test_an_address_is_found_with_its_evidence() -> None:
    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: mail_host("ghopper")})

    found = outcomes[0]
    assert (found.status, found.reason) == (OutcomeStatus.FOUND, Reason.MAILBOX_EXISTS)
    assert (found.email, found.source) == ("ghopper@acme.test", "permutation")
    assert found.score > 80
    assert found.evidence.pattern == "flast"
    assert found.evidence.catch_all is False
    assert (found.evidence.reply.mail_host, found.evidence.reply.reply_code) == ("mx.acme.test", 250)
    assert found.evidence.reply.reply_text
    assert found.evidence.reply.asked_at
    assert found.evidence.search.asked


def test_what_one_person_shows_about_the_domain_spares_probes_of_the_others() -> None:
    names = [f"Person{chr(97 + number)} Family{chr(97 + number)}" for number in range(20)]
    mailboxes = [name.lower().replace(" ", "_") for name in names]

    outcomes, seen = look_up(contacts(*names), {ACME: mail_host(*mailboxes)})

    assert [email for email, _ in summary(outcomes)] == [f"{mailbox}@{ACME}" for mailbox in mailboxes]
    assert len(seen[ACME].verbs("RCPT")) < 40
    assert seen[ACME].sessions == 2, "the first one had its nine refusals"
    assert {outcome.source for outcome in outcomes.values()} == {"permutation", "pattern"}


def test_a_known_pattern_is_probed_first() -> None:
    known = {ACME: [PatternCount("lastf", 5)]}

    outcomes, seen = look_up(contacts("Grace Hopper"), {ACME: mail_host("hopperg")}, known)

    assert outcomes[0].source == "pattern"
    assert len(seen[ACME].verbs("RCPT")) == 2, "the address, and a random one"


def test_no_address_is_found_where_every_candidate_is_refused() -> None:
    outcomes, seen = look_up(contacts("Grace Hopper"), {ACME: mail_host("alan")})

    assert summary(outcomes) == [(None, Reason.EVERY_CANDIDATE_REFUSED)]
    assert outcomes[0].evidence.reply.reply_code == 550
    assert outcomes[0].evidence.search.asked == len(seen[ACME].verbs("RCPT")) <= 20


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
def test_an_inconclusive_answer_never_counts_as_a_refusal(reply: bytes, reason: Reason) -> None:
    people = contacts(*(f"Person{letter} Family{letter}" for letter in "abcdefgh"))

    outcomes, seen = look_up(people, {ACME: mail_host(replies={"RCPT": reply})})

    assert summary(outcomes) == [(None, reason)] * 8
    assert len(seen[ACME].verbs("RCPT")) < 20


def test_an_inconclusive_answer_does_not_hide_a_later_conclusive_one() -> None:
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


def test_refusals_do_not_hide_an_inconclusive_answer() -> None:
    odd = {"RCPT TO:<grace.hopper@": b"450 4.3.2 something is wrong"}

    outcomes, _ = look_up(contacts("Grace Hopper"), {ACME: mail_host(replies=odd)})

    assert summary(outcomes) == [(None, Reason.SERVER_UNCLEAR)]


# What needs no probe


def test_a_supplied_address_is_used_without_a_probe() -> None:
    outcomes, seen = look_up([Contact(0, full_name="Grace Hopper", email=" GHopper@ACME.test ")], {ACME: mail_host()})

    found = outcomes[0]
    assert (found.status, found.reason, found.source) == (OutcomeStatus.FOUND, Reason.INPUT, "input")
    assert found.email == "GHopper@acme.test"
    assert found.evidence == Evidence(pattern="flast")
    assert seen[ACME].sessions == 0


def test_supplied_addresses_show_the_pattern() -> None:
    supplied = [
        Contact(position, full_name=name, email=f"{name.split()[1].lower()}{name[0].lower()}@acme.test")
        for position, name in enumerate(["Ada Lovell", "Alan Turinger", "Kurt Godelin"])
    ]

    outcomes, seen = look_up(
        [*supplied, Contact(9, full_name="Grace Hopper", domain=ACME)], {ACME: mail_host("hopperg")}
    )

    assert outcomes[9].email == "hopperg@acme.test"
    assert seen[ACME].verbs("RCPT")[0] == "RCPT TO:<hopperg@acme.test>"


def test_what_some_of_the_supplied_addresses_leave_open_the_others_decide() -> None:
    names = ["Anna Falk", "Ben Birch", "Cleo Ashby", "Zoe Tellering", "Kurt Godelinger", "Ida Weylander"]
    supplied = [
        Contact(position, full_name=name, email=f"{name[0]}{name.split()[1][:7]}@acme.test".lower())
        for position, name in enumerate(names)
    ]
    contacts = [*supplied, Contact(9, full_name="Grace Hopperling", domain=ACME)]

    _, seen = look_up(contacts, {ACME: mail_host("ghopperl")})

    assert seen[ACME].verbs("RCPT")[0] == "RCPT TO:<ghopperl@acme.test>"


def test_a_malformed_address_is_looked_up_if_name_and_domain_allow_it() -> None:
    contacts = [
        Contact(0, full_name="Grace Hopper", domain=ACME, email="grace at acme"),
        Contact(1, full_name="Grace Hopper", email="grace at acme"),
    ]

    outcomes, _ = look_up(contacts, {ACME: mail_host("grace.hopper")})

    assert summary(outcomes) == [("grace.hopper@acme.test", Reason.MAILBOX_EXISTS), (None, Reason.SYNTAX)]


def test_unusable_input_has_its_reason() -> None:
    contacts = [
        Contact(0, full_name="???", domain=ACME),
        Contact(1, full_name="Grace Hopper", domain="Acme Inc."),
        Contact(2, full_name="Grace Hopper"),
        Contact(3, full_name="Grace Hopper", domain="gone.test"),
    ]

    outcomes, _ = look_up(contacts, {ACME: mail_host()})

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

    outcomes, seen = look_up(people, {ACME: behaviour}, contact_timeout=0.3, command_timeout=command_timeout)

    assert {reason for _, reason in summary(outcomes)} == {reason}
    assert seen[ACME].sessions == 1


def test_a_slow_server_is_probed_for_as_many_people_as_it_can_answer_for_in_time() -> None:
    names = [f"Person{chr(97 + number)} Family{chr(97 + number)}" for number in range(12)]
    mailboxes = [name.lower().replace(" ", ".") for name in names]

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ordinary, command = mail_host(*mailboxes), ""
        while command != "QUIT":
            await asyncio.sleep(0.1)
            writer.write((ordinary(command) or b"") + b"\r\n")
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")

    outcomes, _ = look_up(contacts(*names), {ACME: slow}, contact_timeout=1.5)

    assert [email for email, _ in summary(outcomes)] == [f"{mailbox}@{ACME}" for mailbox in mailboxes]


def test_a_server_that_stalls_once_affects_only_those_being_probed() -> None:
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

    outcomes, _ = look_up(contacts(*names), {ACME: stalls_once}, contact_timeout=1.0)

    reasons = [reason for _, reason in summary(outcomes)]
    assert set(reasons) == {Reason.TIME_LIMIT, Reason.MAILBOX_EXISTS}
    assert reasons.count(Reason.TIME_LIMIT) <= 5
