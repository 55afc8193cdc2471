"""Commands sent without waiting for replies (RFC 2920), to servers that support it, do not, or only offer it."""

import asyncio

from pipeline.mail.catch_all import random_local_part
from pipeline.mail.replies.meaning import Meaning
from tests.unit.mail.servers.scripted_servers import Reply, mail_host, meanings, probe

RANDOM = random_local_part("acme.test", "")


def test_a_server_without_pipelining_gets_one_command_at_a_time() -> None:
    async def strict(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply, command = mail_host("grace", pipelining=False), ""
        while True:
            writer.write((reply(command) or b"") + b"\r\n")
            if command == "QUIT":
                return
            received = await reader.read(65536)
            assert received.count(b"\n") == 1, "it did not wait for the reply"
            command = received.decode().rstrip("\r\n")

    answers, _ = probe(strict, ["grace", "alan"])

    assert meanings(answers) == {"grace": Meaning.ACCEPTED, "alan": Meaning.NO_SUCH_MAILBOX}


def test_a_server_that_loses_pipelined_commands_is_probed_one_by_one_and_that_is_remembered() -> None:
    async def reads_one_line_a_packet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ordinary, command = mail_host("p1", "p3"), ""
        while command != "QUIT":
            writer.write((ordinary(command) or b"") + b"\r\n")
            received = await reader.read(65536)
            if not received:
                return
            command = received.partition(b"\r\n")[0].decode()

    answers, seen = probe(reads_one_line_a_packet, ["p1", "p2", "p3"], rounds=2, command_timeout=0.2)

    assert meanings(answers) == {
        "p1": Meaning.ACCEPTED,
        "p2": Meaning.NO_SUCH_MAILBOX,
        "p3": Meaning.ACCEPTED,
    }
    assert seen.sessions == 2


def test_after_a_lost_command_no_address_gets_the_reply_to_another() -> None:
    ordinary, lost = mail_host("p2", "p4"), [False]

    async def loses_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = ""
        while command != "QUIT":
            if "p2" in command and not lost[0]:
                lost[0] = True
            else:
                writer.write((ordinary(command) or b"") + b"\r\n")
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")

    answers, _ = probe(loses_one, ["p1", "p2", "p3", "p4"], command_timeout=0.2)

    assert meanings(answers) == {
        "p1": Meaning.NO_SUCH_MAILBOX,
        "p2": Meaning.ACCEPTED,
        "p3": Meaning.NO_SUCH_MAILBOX,
        "p4": Meaning.ACCEPTED,
    }


def test_replies_in_another_order_are_noticed_by_the_addresses_they_repeat() -> None:
    async def answers_backwards(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ordinary, command, recipients = mail_host(), "", list[str]()
        while command != "QUIT":
            if command.startswith("RCPT"):
                recipients.append(command[9:-1])
            else:
                writer.write((ordinary(command) or b"") + b"\r\n")
            waiting = b"\r\n" in reader._buffer  # type: ignore[attr-defined]  # noqa: SLF001 - are there more?
            while recipients and not waiting:
                address = recipients.pop()
                code = b"250 2.1.5" if address.startswith("p2") else b"550 5.1.1"
                writer.write(code + f" <{address}>\r\n".encode())
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")

    answers, _ = probe(answers_backwards, ["p1", "p2"])

    assert meanings(answers) == {"p1": Meaning.NO_SUCH_MAILBOX, "p2": Meaning.ACCEPTED}


def portions_of(questions: list[str], host: Reply) -> list[int]:
    """How many recipients each portion had that reached the host. What is sent together arrives together."""
    portions: list[int] = []

    async def reads_what_has_arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = [""]
        while commands != ["QUIT"]:
            writer.write(b"".join((host(command) or b"") + b"\r\n" for command in commands))
            commands = (await reader.read(65536)).decode().removesuffix("\r\n").split("\r\n")
            portions.append(sum(command.startswith("RCPT") for command in commands))

    answers, _ = probe(reads_what_has_arrived, questions)

    assert answers.keys() == set(questions)
    return [portion for portion in portions if portion]


def test_ten_addresses_and_the_random_one_after_them_share_a_round_trip() -> None:
    people = [f"p{number}" for number in range(10)]

    assert portions_of([*people, RANDOM], mail_host("p3")) == [11]


def test_addresses_that_may_all_be_refused_come_in_portions_that_no_server_slows_down_for() -> None:
    people = [f"p{number}" for number in range(11)]

    assert portions_of(people, mail_host(*people)) == [9, 2]
    assert portions_of([*people, RANDOM], mail_host(*people)) == [9, 3]
