"""Sessions are encrypted where the server offers it, and go on in the clear where encryption fails."""

import pytest

from pipeline.mail.replies.meaning import Meaning
from tests.unit.mail.servers.scripted_servers import mail_host, meanings, probe
from tests.unit.mail.servers.tls_servers import READY, TlsHost


def test_recipients_are_named_only_inside_the_encrypted_session() -> None:
    host = TlsHost()

    answers, _ = probe(host.talk, ["grace", "nobody"])

    assert meanings(answers) == {"grace": Meaning.ACCEPTED, "nobody": Meaning.NO_SUCH_MAILBOX}
    assert host.clear == ["EHLO localhost", "STARTTLS"]
    assert [command[:4] for command in host.encrypted] == ["EHLO", "MAIL", "RCPT", "RCPT", "QUIT"]


def test_what_was_offered_before_the_handshake_is_forgotten() -> None:
    host = TlsHost(inside=mail_host("grace", replies={"EHLO": b"250 host.test"}))

    answers, _ = probe(host.talk, ["grace", "jürgen"])

    assert answers["grace"].meaning is Meaning.ACCEPTED
    assert len(host.encrypted) == 4, "probes were sent one by one, and only about grace"


@pytest.mark.parametrize("reply", [b"454 4.7.0 TLS not available due to temporary reason", b"502 5.5.1 no"])
def test_a_server_that_refuses_starttls_is_probed_in_the_same_session(reply: bytes) -> None:
    host = TlsHost(ready=reply + b"\r\n")

    answers, seen = probe(host.talk)

    assert answers["grace"].meaning is Meaning.ACCEPTED
    assert "RCPT TO:<grace@acme.test>" in host.clear
    assert seen.sessions == 1


def test_after_a_handshake_that_failed_the_host_is_probed_in_the_clear_and_that_is_remembered() -> None:
    host = TlsHost(can_shake_hands=False)

    answers, seen = probe(host.talk, ["grace", "nobody"], rounds=2, recipients_per_session=1)

    assert meanings(answers) == {"grace": Meaning.ACCEPTED, "nobody": Meaning.NO_SUCH_MAILBOX}
    assert host.clear.count("STARTTLS") == 1
    assert seen.sessions == 3, "one in vain, then one for each recipient"


def test_a_server_that_ends_the_session_right_after_the_handshake_is_probed_in_the_clear() -> None:
    host = TlsHost(inside=lambda _: None)

    answers, _ = probe(host.talk)

    assert answers["grace"].meaning is Meaning.ACCEPTED


def test_replies_that_were_slipped_in_before_the_handshake_are_no_answers() -> None:
    slipped_in = b"250 host.test\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"
    host = TlsHost(ready=READY + slipped_in)

    answers, _ = probe(host.talk)

    assert answers["grace"].meaning is Meaning.UNREACHABLE
    assert "before the TLS handshake" in answers["grace"].text
    assert host.encrypted == []


def test_replies_that_come_with_the_end_of_the_handshake_are_no_answers() -> None:
    eager = mail_host("grace", replies={"EHLO": b"250 host.test\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok"})
    host = TlsHost(inside=eager)

    answers, _ = probe(host.talk)

    assert answers["grace"].meaning in {Meaning.UNCLEAR, Meaning.UNREACHABLE}


def test_encryption_can_be_turned_off() -> None:
    host = TlsHost()

    answers, _ = probe(host.talk, starttls=False)

    assert answers["grace"].meaning is Meaning.ACCEPTED
    assert "STARTTLS" not in host.clear


def test_a_server_that_hangs_in_the_handshake_costs_one_time_limit() -> None:
    async def hangs(reader, writer) -> None:  # type: ignore[no-untyped-def]
        ordinary = TlsHost(can_shake_hands=False).outside
        writer.write((ordinary("") or b"") + b"\r\n")
        while command := (await reader.readline()).decode().rstrip("\r\n"):
            if command == "STARTTLS":
                writer.write(READY)
                await reader.read(-1)
                return
            writer.write((ordinary(command) or b"") + b"\r\n")

    answers, seen = probe(hangs, command_timeout=0.5, contact_timeout=0.2)

    assert answers["grace"].meaning is Meaning.TIME_LIMIT
    assert seen.at_once == 0
