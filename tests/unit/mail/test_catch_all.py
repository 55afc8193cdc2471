"""Whether an acceptance proves that the mailbox exists."""

import asyncio

import pytest

from pipeline.mail.catch_all import random_local_part
from tests.unit.mail.servers.scripted_servers import Reply, Seen, mail_host, world


def is_catch_all(behaviour: Reply, rounds: int = 1) -> tuple[list[bool | None], Seen]:
    async def scenario() -> tuple[list[bool | None], Seen]:
        async with world({"acme.test": behaviour}) as scripted:
            found = []
            for _ in range(rounds):
                async with scripted.network.conversation(await scripted.network.route("acme.test")) as conversation:
                    await conversation.probe(["grace@acme.test"])
                    found.append((await scripted.network.random_probe(conversation)).says_catch_all)
            await scripted.network.close()
            return found, scripted.seen["acme.test"]

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("unknown", "expected"),
    [
        (b"550 5.1.1 no such user", False),
        (b"250 2.1.5 Ok", True),
        (b"450 4.1.1 user unknown", False),
        (b"451 4.7.1 greylisted, come back later", None),
        (b"451 4.3.0 try later", None),
        (b"550 5.7.1 your IP address is blacklisted", None),
    ],
)
def test_a_random_probe_shows_whether_an_acceptance_proves_anything(unknown: bytes, expected: bool | None) -> None:
    (found,), _ = is_catch_all(mail_host("grace", unknown=unknown))

    assert found is expected


def test_the_random_probe_follows_the_first_one_in_the_same_session() -> None:
    _, seen = is_catch_all(mail_host("grace"))

    assert seen.sessions == 1
    assert seen.verbs("RCPT")[0] == "RCPT TO:<grace@acme.test>"
    assert len(seen.verbs("RCPT")) == 2


def test_the_random_address_is_always_the_same_for_one_domain_and_sender_and_another_for_others() -> None:
    random_ones = [random_local_part(domain, sender) for domain in ("a.test", "b.test") for sender in ("", "c@d.test")]

    assert len(set(random_ones)) == 4
    assert all(each.isalpha() and each.islower() for each in random_ones)
    _, first = is_catch_all(mail_host("grace"))
    _, second = is_catch_all(mail_host("grace"))
    assert first.commands == second.commands


def test_a_conclusive_random_probe_is_remembered_and_an_unclear_one_is_repeated() -> None:
    known, seen_known = is_catch_all(mail_host("grace"), rounds=3)
    unclear, seen_unclear = is_catch_all(mail_host("grace", unknown=b"451 4.7.1 greylisted"), rounds=3)

    assert (known, len(seen_known.verbs("RCPT"))) == ([False] * 3, 3 + 1)
    assert (unclear, len(seen_unclear.verbs("RCPT"))) == ([None] * 3, 3 + 3)


def test_a_random_probe_that_the_session_spoils_is_repeated_in_one_of_its_own() -> None:
    ordinary, recipients = mail_host("grace"), [0]

    def second_recipient_is_refused(command: str) -> bytes | None:
        recipients[0] = 0 if not command else recipients[0] + command.startswith("RCPT")
        if command.startswith("RCPT") and recipients[0] > 1:
            return b"451 4.4.4 Mail received as unauthenticated ATTR1"
        return ordinary(command)

    (found,), seen = is_catch_all(second_recipient_is_refused)

    assert found is False
    assert seen.sessions == 2
