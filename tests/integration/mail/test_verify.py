"""What `growth verify` says of addresses in the sandbox's small internet, and the exit code it ends with."""

import io
import json

import pytest
from rich.console import Console

from cli.exit_codes import ExitCode, UnableToCheck
from cli.verify.addresses import verify_addresses
from cli.verify.verdict_format import Shown
from sandbox.domains import Behaviour
from sandbox.internet import Internet
from settings import Settings
from tests.integration.conftest import Population


class Said:
    """One call of the command, with what it printed."""

    def __init__(
        self, internet: Internet, *addresses: str, patience: float = 0, shown: Shown = Shown.STEPS, **given: object
    ):
        out, err = io.StringIO(), io.StringIO()
        settings = Settings.model_validate({name.lower(): value for name, value in internet.settings().items()} | given)
        self.code = verify_addresses(
            settings, addresses, patience, Console(file=out, width=160), Console(file=err, width=160), shown
        )
        self.out, self.err = out.getvalue(), err.getvalue()


@pytest.fixture
def valid(population: Population) -> str:
    ordinary = {domain.name for domain in population.domains if domain.behaviour is Behaviour.ORDINARY}
    return next(str(each.email) for each in population.hundred if each.domain in ordinary and each.verdict == "valid")


def domain_that(population: Population, behaviour: Behaviour) -> str:
    return next(domain.name for domain in population.domains if domain.behaviour is behaviour)


def greylisting(population: Population, *, names_a_time: bool) -> str:
    """A domain that greylists, and says for how long or does not."""
    greylists = [domain for domain in population.domains if domain.behaviour is Behaviour.GREYLISTING]
    return next(domain.name for domain in greylists if (domain.dialect == "exim") is names_a_time)


def test_several_addresses_of_a_domain_share_its_conversation_and_the_worst_counts(
    internet: Internet, valid: str
) -> None:
    nobody = f"nobody@{valid.partition('@')[2]}"

    said = Said(internet, valid, nobody, valid)

    assert said.code is ExitCode.INVALID
    assert said.out.count("Greeting") == 1
    assert f"{valid} is valid (mailbox_exists)" in said.out
    assert f"{nobody} is invalid (no_such_mailbox)" in said.out


def test_json_is_one_object_with_the_evidence(
    internet: Internet, valid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Said(internet, valid, shown=Shown.JSON)

    said = json.loads(capsys.readouterr().out)
    assert list(said) == ["address", "status", "reason", "score", "explanation", "evidence"]
    assert (said["address"], said["status"], said["reason"], said["score"]) == (valid, "valid", "mailbox_exists", 97)
    assert said["evidence"]["domain"]["mail_hosts"][0]["name"] == said["evidence"]["mail_host"]
    commands = [exchange["command"] for exchange in said["evidence"]["sessions"][0]["exchanges"]]
    assert (commands[0], commands[-1]) == (None, "QUIT")
    assert f"RCPT TO:<{valid}>" in commands


def test_json_of_several_addresses_is_a_line_for_each(
    internet: Internet, valid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Said(internet, valid, "no address", shown=Shown.JSON)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["address"]: line["status"] for line in lines} == {valid: "valid", "no address": "invalid"}


def test_reachers_shape_is_there_for_what_reads_it(
    internet: Internet, valid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Said(internet, valid, shown=Shown.REACHER)

    said = json.loads(capsys.readouterr().out)
    assert (said["input"], said["is_reachable"], said["smtp"]["is_deliverable"]) == (valid, "safe", True)


@pytest.mark.parametrize(
    ("local_part", "behaviour", "code", "sentence"),
    [
        ("grace", Behaviour.NO_SUCH_DOMAIN, ExitCode.INVALID, "The domain does not exist"),
        ("grace", Behaviour.NULL_MX, ExitCode.INVALID, "The domain states that it takes no mail"),
        ("grace", Behaviour.CATCH_ALL, ExitCode.RISKY, "Random address C: RCPT"),
        ("info", Behaviour.ORDINARY, ExitCode.RISKY, "belongs to a function"),
        ("grace", Behaviour.REFUSING_AT_BANNER, ExitCode.UNKNOWN, "= blocked"),
        ("grace", Behaviour.FIRST_MX_DEAD, ExitCode.INVALID, ": No connection: Connection refused."),
        ("nobody-asked-before", Behaviour.GREYLISTING, ExitCode.UNKNOWN, "(greylisted), score 30"),
    ],
)
def test_each_behaviour_has_its_sentence_and_its_exit_code(
    internet: Internet, population: Population, local_part: str, behaviour: Behaviour, code: ExitCode, sentence: str
) -> None:
    said = Said(internet, f"{local_part}@{domain_that(population, behaviour)}")

    assert said.code is code
    assert sentence in said.out


def test_greylisting_is_waited_out_if_there_is_patience(internet: Internet, population: Population) -> None:
    domain = greylisting(population, names_a_time=False)

    said = Said(internet, f"nobody-again@{domain}", patience=1.5)

    assert said.code is ExitCode.INVALID
    assert f"{domain}: The mail server asks unknown senders to try again later. Waiting 2 s" in said.err
    assert said.out.count("Greeting") == 2


def test_a_wait_beyond_ones_patience_is_not_waited_but_told(internet: Internet, population: Population) -> None:
    domain = greylisting(population, names_a_time=True)

    said = Said(internet, f"nobody-else@{domain}", patience=3)

    assert said.code is ExitCode.UNKNOWN
    assert "It can be asked again in 6 s: --patience 6 waits for that." in said.out


def test_a_port_that_is_shut_is_said_in_one_clear_sentence(internet: Internet, valid: str) -> None:
    said = Said(internet, valid, smtp_port=9)

    assert said.code is ExitCode.UNKNOWN
    assert "Most clouds block outgoing port 25: ask yours to open it" in said.err


def test_a_resolver_that_is_no_name_is_said(internet: Internet, valid: str) -> None:
    with pytest.raises(UnableToCheck, match="check DNS_RESOLVERS"):
        Said(internet, valid, dns_resolvers="x" * 64)
