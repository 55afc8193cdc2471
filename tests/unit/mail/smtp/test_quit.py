"""QUIT is sent together with the last recipients (RFC 2920 3.1): that saves a round trip and loses no answer."""

import asyncio
from collections.abc import Iterator, Sequence

from pipeline.outcomes import OutcomeStatus
from tests.unit.mail.servers.scripted_servers import Reply, Seen, Talk, mail_host, world
from tests.unit.mail.verifying import addresses, outcomes_of

ACME = "acme.test"
PEOPLE = [f"p{number}" for number in range(10)]


def verify(server: Reply | Talk, people: Sequence[str]) -> tuple[dict[str, OutcomeStatus], Seen]:
    """The verdict on each person's address, and what the server saw."""

    async def scenario() -> tuple[dict[str, OutcomeStatus], Seen]:
        async with world({ACME: server}, defer_seconds=()) as scripted:
            outcomes = await outcomes_of(addresses(*(f"{person}@{ACME}" for person in people)), scripted.network)
            await scripted.network.close()
            return {people[outcome.position]: outcome.status for outcome in outcomes}, scripted.seen[ACME]

    return asyncio.run(scenario())


def truth(people: Sequence[str], *mailboxes: str) -> dict[str, OutcomeStatus]:
    return {person: OutcomeStatus.VALID if person in mailboxes else OutcomeStatus.INVALID for person in people}


def flights_to(host: Reply, people: Sequence[str]) -> Iterator[list[str]]:
    """The verbs that reached the host together."""
    flights: list[list[str]] = []

    async def reads_what_has_arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = [""]
        while commands[-1] != "QUIT":
            writer.write(b"".join((host(command) or b"") + b"\r\n" for command in commands))
            commands = (await reader.read(65536)).decode().removesuffix("\r\n").split("\r\n")
            flights.append(commands)
        writer.write(b"".join((host(command) or b"") + b"\r\n" for command in commands))

    verify(reads_what_has_arrived, people)
    return ([command[:4] for command in commands] for commands in flights)


def test_quit_is_sent_together_with_the_last_recipients() -> None:
    assert list(flights_to(mail_host("p3"), PEOPLE)) == [["EHLO"], ["MAIL", *["RCPT"] * 11, "QUIT"]]


def test_with_few_addresses_quit_is_sent_together_with_the_random_probe() -> None:
    assert list(flights_to(mail_host("p3"), ["p3"])) == [["EHLO"], ["MAIL", "RCPT"], ["RCPT", "QUIT"]]


def test_a_server_without_pipelining_gets_quit_after_its_last_reply() -> None:
    flights = list(flights_to(mail_host("p3", pipelining=False), ["p3"]))

    assert flights == [["EHLO"], ["MAIL"], ["RCPT"], ["RCPT"], ["QUIT"]]


def test_a_large_domain_is_left_once_for_each_of_its_sessions() -> None:
    everybody = [f"p{number}" for number in range(120)]

    statuses, seen = verify(mail_host(*everybody), everybody)

    assert statuses == truth(everybody, *everybody)
    assert len(seen.verbs("QUIT")) == seen.sessions


def test_a_goodbye_in_the_place_of_an_answer_shows_that_a_command_was_lost() -> None:
    ordinary, lost = mail_host("p2", "p4"), list[str]()

    async def loses_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = ""
        while True:
            if "p2@" in command and not lost:
                lost.append(command)
            else:
                writer.write((ordinary(command) or b"") + b"\r\n")
            if command == "QUIT":
                return
            command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")

    statuses, _ = verify(loses_one, PEOPLE)

    assert lost
    assert statuses == truth(PEOPLE, "p2", "p4")


def test_addresses_without_a_reply_when_the_server_hangs_up_are_probed_in_another_session() -> None:
    ordinary, recipients = mail_host("p2", "p9"), list[str]()

    def tires(command: str) -> bytes | None:
        if command.startswith("RCPT"):
            recipients.append(command)
            if len(recipients) == 5:
                return None
        return ordinary(command)

    statuses, seen = verify(tires, PEOPLE)

    assert statuses == truth(PEOPLE, "p2", "p9")
    assert seen.sessions > 1
