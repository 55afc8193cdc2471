"""A conversation with one domain's mail servers: what is sent, which host is next, whose fault a refusal is."""

import asyncio
from collections.abc import Mapping
from datetime import UTC

import pytest

from pipeline.mail.dns.routes import MailHost, MailRoute
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.classify import RuleBook
from pipeline.mail.replies.meaning import Meaning
from pipeline.mail.replies.rules import load_rules
from tests.unit.mail.servers.scripted_servers import Seen, mail_host, mail_server, meanings, name_server, probe, world


def test_many_addresses_are_probed_in_one_transaction_that_never_sends_a_message() -> None:
    answers, seen = probe(mail_host("grace", "alan"), ["grace", "alan", "nobody"])

    assert meanings(answers) == {
        "grace": Meaning.ACCEPTED,
        "alan": Meaning.ACCEPTED,
        "nobody": Meaning.NO_SUCH_MAILBOX,
    }
    assert seen.commands == [
        "EHLO localhost",
        "MAIL FROM:<>",
        "RCPT TO:<grace@acme.test>",
        "RCPT TO:<alan@acme.test>",
        "RCPT TO:<nobody@acme.test>",
        "QUIT",
    ]


def test_a_second_round_goes_on_in_the_same_transaction() -> None:
    _, seen = probe(mail_host("grace"), ["grace", "alan"], rounds=2)

    assert [len(seen.verbs(verb)) for verb in ("EHLO", "MAIL", "RCPT", "RSET")] == [1, 1, 2, 0]


def test_an_answer_carries_its_evidence() -> None:
    answers, _ = probe(mail_host("grace"))

    evidence = answers["grace"].evidence

    assert evidence.mail_host == "mx.acme.test"
    assert evidence.reply_code == 250
    assert evidence.reply_text == "2.1.5 Ok"
    assert evidence.asked_at.tzinfo is UTC
    assert 0 <= evidence.seconds < 5


def test_an_operators_rules_come_before_the_engines() -> None:
    rules = """
        [[rules]]
        name = "house"
        meaning = "policy"
        source = "their postmaster"
        words = ["not from the outside", "busy reading"]
    """
    refusing = mail_host(unknown=b"550 5.1.1 not from the outside")
    closed = mail_host(replies={"": b"554 busy reading"})

    answers = [probe(host, reply_rules=RuleBook(load_rules(rules)))[0]["grace"] for host in (refusing, closed)]

    assert [(answer.meaning, answer.rule) for answer in answers] == [(Meaning.POLICY, "house")] * 2


def test_helo_follows_where_ehlo_is_not_known() -> None:
    answers, seen = probe(mail_host("grace", replies={"EHLO": b"502 5.5.1 what?"}))

    assert answers["grace"].meaning is Meaning.ACCEPTED
    assert [command[:4] for command in seen.commands] == ["EHLO", "HELO", "MAIL", "RCPT", "QUIT"]


@pytest.mark.parametrize(
    ("replies", "meaning"),
    [
        ({"": b"554 5.7.1 no SMTP service here for you"}, Meaning.BLOCKED),
        ({"": b"421 4.7.0 too many connections"}, Meaning.RATE_LIMITED),
        ({"": b"554-5.7.1 your IP is\r\n554 5.7.1 blacklisted"}, Meaning.BLOCKED),
        ({"EHLO": b"550 5.7.1 bad helo"}, Meaning.BLOCKED),
        ({"MAIL": b"451 4.7.1 greylisted"}, Meaning.GREYLISTED),
        ({"MAIL": b"550 5.1.1 user unknown"}, Meaning.BLOCKED),
        ({"MAIL": None}, Meaning.UNCLEAR),
        ({"RCPT": b"421 4.7.0 try again later"}, Meaning.RATE_LIMITED),
        ({"RCPT": b"450 4.1.1 user unknown"}, Meaning.UNCLEAR),
    ],
)
def test_a_refused_session_is_about_us_and_not_about_the_mailbox(
    replies: dict[str, bytes | None], meaning: Meaning
) -> None:
    answers, _ = probe(mail_host("grace", replies=replies))

    assert answers["grace"].meaning is meaning


def test_the_next_host_is_probed_where_the_preferred_one_is_dead() -> None:
    async def scenario() -> Answer:
        async with mail_server(mail_host("grace"), "127.0.0.2") as (port, _):
            zone = {
                ("acme.test", "MX"): ["10 dead.acme.test.", "20 mx.acme.test."],
                ("dead.acme.test", "A"): ["127.0.0.3"],
                ("mx.acme.test", "A"): ["127.0.0.2"],
            }
            async with name_server(zone) as (_, address):
                network = MailNetwork(MailNetworkConfig((address,), port, allow_private=True))
                async with network.conversation(await network.route("acme.test")) as conversation:
                    answers = await conversation.probe(["grace@acme.test"])
                await network.close()
                return answers["grace@acme.test"]

    answer = asyncio.run(scenario())

    assert (answer.meaning, answer.mail_host) == (Meaning.ACCEPTED, "mx.acme.test")


def test_a_host_that_refuses_us_explains_more_than_one_that_is_dead() -> None:
    async def scenario() -> Answer:
        async with mail_server(mail_host(replies={"": b"554 5.7.1 you are blacklisted"}), "127.0.0.2") as (port, _):
            zone = {
                ("acme.test", "MX"): ["10 mx.acme.test.", "20 dead.acme.test."],
                ("mx.acme.test", "A"): ["127.0.0.2"],
                ("dead.acme.test", "A"): ["127.0.0.3"],
            }
            async with name_server(zone) as (_, address):
                network = MailNetwork(MailNetworkConfig((address,), port, allow_private=True))
                async with network.conversation(await network.route("acme.test")) as conversation:
                    answers = await conversation.probe(["grace@acme.test"])
                await network.close()
                return answers["grace@acme.test"]

    answer = asyncio.run(scenario())

    assert (answer.meaning, answer.mail_host) == (Meaning.BLOCKED, "mx.acme.test")


@pytest.mark.parametrize("stage", ["", "EHLO", "MAIL"])
def test_a_refusal_is_an_answer_and_not_asked_for_twice(stage: str) -> None:
    _, seen = probe(mail_host("grace", replies={stage: b"554 5.7.1 you are blacklisted"}))

    assert seen.sessions == 1


def test_a_domain_whose_hosts_are_all_dead_is_unreachable_for_everybody() -> None:
    async def scenario() -> Mapping[str, Answer]:
        zone = {("acme.test", "A"): ["127.0.0.3"]}
        async with name_server(zone) as (_, address):
            network = MailNetwork(MailNetworkConfig((address,), smtp_port=1, allow_private=True))
            async with network.conversation(await network.route("acme.test")) as conversation:
                return await conversation.probe(["grace@acme.test", "alan@acme.test"])

    answers = asyncio.run(scenario())

    assert {answer.meaning for answer in answers.values()} == {Meaning.UNREACHABLE}


def test_addresses_in_other_scripts_are_probed_where_the_server_can_read_them() -> None:
    hello = b"250-mx.test\r\n250-PIPELINING\r\n250 SMTPUTF8"
    answers, seen = probe(mail_host("jürgen", replies={"EHLO": hello}), ["jürgen", "nobody"])

    assert meanings(answers) == {"jürgen": Meaning.ACCEPTED, "nobody": Meaning.NO_SUCH_MAILBOX}
    assert seen.verbs("MAIL") == ["MAIL FROM:<> SMTPUTF8"]


def test_addresses_in_other_scripts_are_not_sent_to_a_server_that_can_not_read_them() -> None:
    answers, seen = probe(mail_host("grace"), ["jürgen", "grace"])

    assert meanings(answers) == {"jürgen": Meaning.UNCLEAR, "grace": Meaning.ACCEPTED}
    assert seen.verbs("RCPT") == ["RCPT TO:<grace@acme.test>"]


def test_a_transaction_without_recipients_is_not_begun() -> None:
    _, seen = probe(mail_host("grace"), ["jürgen"])

    assert seen.commands == ["EHLO localhost", "QUIT"]


@pytest.mark.parametrize("injected", ["grace\r\nDATA", "grace\nDATA", "grace\rDATA", "grace\x00"])
def test_a_line_break_never_gets_into_a_command(injected: str) -> None:
    seen_by: list[Seen] = []

    async def scenario() -> None:
        async with world({"acme.test": mail_host("grace")}) as scripted:
            seen_by.append(scripted.seen["acme.test"])
            route = await scripted.network.route("acme.test")
            async with scripted.network.conversation(route) as conversation:
                await conversation.probe([f"{injected}@acme.test"])

    with pytest.raises(ValueError, match="line break"):
        asyncio.run(scenario())

    assert [command[:4] for command in seen_by[0].commands] in (["EHLO"], ["EHLO", "QUIT"])


def test_the_time_limit_keeps_the_answers_that_came_in_time() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ordinary, command = mail_host("p1", "p2"), ""
        while command != "QUIT":
            writer.write((ordinary(command) or b"") + b"\r\n")
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")
            if "p2" in command:
                await asyncio.sleep(5)

    answers, _ = probe(slow, ["p1", "p2", "p3"], contact_timeout=0.3)

    assert meanings(answers) == {
        "p1": Meaning.ACCEPTED,
        "p2": Meaning.TIME_LIMIT,
        "p3": Meaning.TIME_LIMIT,
    }


def test_the_provider_of_the_host_decides_what_its_words_mean() -> None:
    refusal = {"RCPT": b"550 Mailbox unavailable or access denied"}

    async def scenario() -> Meaning:
        async with mail_server(mail_host(replies=refusal)) as (port, _):
            network = MailNetwork(MailNetworkConfig(smtp_port=port, allow_private=True))
            route = MailRoute("acme.test", (MailHost("mxbiz1.qq.com", ("127.0.0.1",)),))
            async with network.conversation(route) as conversation:
                (answer,) = (await conversation.probe(["grace@acme.test"])).values()
            await network.close()
            return answer.meaning

    assert asyncio.run(scenario()) is Meaning.MAILBOX_BUSY
