"""A conversation with servers that limit recipients, sessions or errors."""

import pytest

from pipeline.mail.replies.meaning import Meaning
from tests.unit.mail.servers.scripted_servers import Reply, mail_host, meanings, probe


def recipient_limit(limit: int, per: str) -> Reply:
    """A server that replies 452 4.5.3 after so many recipients per transaction, or per session."""
    ordinary, recipients = mail_host(*(f"p{number}" for number in range(100))), [0]
    begins = {"session": "", "transaction": "MAIL"}[per]

    def reply(command: str) -> bytes | None:
        if command.startswith(begins) and (begins or not command):
            recipients[0] = 0
        if command.startswith("RCPT"):
            recipients[0] += 1
            if recipients[0] > limit:
                return b"452 4.5.3 Error: too many recipients"
        return ordinary(command)

    return reply


@pytest.mark.parametrize("per", ["transaction", "session"])
@pytest.mark.parametrize("limit", [1, 5])
def test_too_many_recipients_are_probed_in_smaller_portions(limit: int, per: str) -> None:
    people = [f"p{number}" for number in range(12)]

    answers, seen = probe(recipient_limit(limit, per), people)

    assert set(meanings(answers).values()) == {Meaning.ACCEPTED}
    assert len(seen.verbs("RCPT")) <= 12 + 11 + 11, "two portions at most are probed in vain"
    assert seen.sessions == 1 or per == "session"


def test_too_many_recipients_at_the_very_first_one_is_an_answer() -> None:
    answers, seen = probe(recipient_limit(0, "transaction"), ["p1", "p2"])

    assert set(meanings(answers).values()) == {Meaning.RATE_LIMITED}
    assert len(seen.commands) < 10


def test_a_session_takes_no_more_recipients_than_configured() -> None:
    people = [f"p{number}" for number in range(10)]

    answers, seen = probe(recipient_limit(4, "session"), people, recipients_per_session=4)

    assert set(meanings(answers).values()) == {Meaning.ACCEPTED}
    assert (seen.sessions, len(seen.verbs("RCPT"))) == (3, 10)


def hangs_up_after(limit: int, goodbye: bytes | None = None) -> Reply:
    """A server that cuts a session off once it has answered so many recipients, with a word or without."""
    ordinary, answered = mail_host(*(f"p{number}" for number in range(100))), [0]

    def reply(command: str) -> bytes | None:
        if not command:
            answered[0] = 0
        if command.startswith("RCPT"):
            answered[0] += 1
            if answered[0] > limit:
                return goodbye
        return ordinary(command)

    return reply


@pytest.mark.parametrize("goodbye", [None, b"421 4.7.0 mx.test Error: too many errors"])
def test_addresses_without_answer_are_probed_again_after_a_session_was_cut(goodbye: bytes | None) -> None:
    people = [f"p{number}" for number in range(20)]

    answers, seen = probe(hangs_up_after(8, goodbye), people)

    assert set(meanings(answers).values()) == {Meaning.ACCEPTED}
    assert seen.sessions == 4, "8 answers, then 4 a session"


def test_a_server_that_always_hangs_up_is_tried_twice_and_no_more() -> None:
    answers, seen = probe(hangs_up_after(0), ["p1", "p2"])

    assert set(meanings(answers).values()) == {Meaning.UNCLEAR}
    assert seen.sessions == 2


def test_a_session_is_left_before_its_refusals_make_a_server_slow_down() -> None:
    strangers = [f"p{number}" for number in range(25)]
    errors, most = 0, 0
    host = mail_host("grace")

    def counts_errors(command: str) -> bytes | None:
        nonlocal errors, most
        reply = host(command)
        errors = 0 if not command else errors + (reply or b"").startswith(b"5")
        most = max(most, errors)
        return reply

    answers, seen = probe(counts_errors, [*strangers, "grace"])

    assert meanings(answers) == {**dict.fromkeys(strangers, Meaning.NO_SUCH_MAILBOX), "grace": Meaning.ACCEPTED}
    assert (most, seen.sessions) == (9, 3), "Postfix slows a session down at its tenth error"


def test_a_session_without_refusals_is_kept() -> None:
    people = [f"p{number}" for number in range(40)]

    _, seen = probe(mail_host(*people), people)

    assert seen.sessions == 1
