"""The output and the exit codes of `growth verify` for addresses in the sandbox's small internet."""

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


class Call:
    """One call of the command, with its output."""

    def __init__(
        self, internet: Internet, *addresses: str, patience: float = 0, shown: Shown = Shown.STEPS, **overrides: object
    ):
        out, err = io.StringIO(), io.StringIO()
        settings = Settings.model_validate(
            {name.lower(): value for name, value in internet.settings().items()} | overrides
        )
        self.code = verify_addresses(
            settings, addresses, patience, Console(file=out, width=160), Console(file=err, width=160), shown
        )
        self.out, self.err = out.getvalue(), err.getvalue()


@pytest.fixture
def valid(population: Population) -> str:
    ordinary = {domain.name for domain in population.domains if domain.behaviour is Behaviour.ORDINARY}
    return next(str(each.email) for each in population.hundred if each.domain in ordinary and each.verdict == "valid")


def domain_of(population: Population, behaviour: Behaviour) -> str:
    return next(domain.name for domain in population.domains if domain.behaviour is behaviour)


def greylisting(population: Population, *, states_delay: bool) -> str:
    """A domain that greylists, and states the delay or does not."""
    greylists = [domain for domain in population.domains if domain.behaviour is Behaviour.GREYLISTING]
    return next(domain.name for domain in greylists if (domain.dialect == "exim") is states_delay)


def test_several_addresses_of_a_domain_share_its_conversation_and_the_worst_verdict_is_the_exit_code(
    internet: Internet, valid: str
) -> None:
    unknown = f"unknown-user@{valid.partition('@')[2]}"

    call = Call(internet, valid, unknown, valid)

    assert call.code is ExitCode.INVALID
    assert call.out.count("Greeting") == 1
    assert f"{valid} is valid (mailbox_exists)" in call.out
    assert f"{unknown} is invalid (no_such_mailbox)" in call.out


def test_json_is_one_object_with_the_evidence(
    internet: Internet, valid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Call(internet, valid, shown=Shown.JSON)

    result = json.loads(capsys.readouterr().out)
    assert list(result) == ["address", "status", "reason", "score", "explanation", "evidence"]
    assert (result["address"], result["status"], result["reason"], result["score"]) == (
        valid,
        "valid",
        "mailbox_exists",
        97,
    )
    assert result["evidence"]["domain"]["mail_hosts"][0]["name"] == result["evidence"]["mail_host"]
    commands = [exchange["command"] for exchange in result["evidence"]["sessions"][0]["exchanges"]]
    assert (commands[0], commands[-1]) == (None, "QUIT")
    assert f"RCPT TO:<{valid}>" in commands


def test_json_of_several_addresses_is_a_line_for_each(
    internet: Internet, valid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Call(internet, valid, "no address", shown=Shown.JSON)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["address"]: line["status"] for line in lines} == {valid: "valid", "no address": "invalid"}


def test_json_in_reachers_shape_is_available(
    internet: Internet, valid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Call(internet, valid, shown=Shown.REACHER)

    result = json.loads(capsys.readouterr().out)
    assert (result["input"], result["is_reachable"], result["smtp"]["is_deliverable"]) == (valid, "safe", True)


@pytest.mark.parametrize(
    ("local_part", "behaviour", "code", "sentence"),
    [
        ("grace", Behaviour.NO_SUCH_DOMAIN, ExitCode.INVALID, "The domain does not exist"),
        ("grace", Behaviour.NULL_MX, ExitCode.INVALID, "The domain states that it takes no mail"),
        ("grace", Behaviour.CATCH_ALL, ExitCode.RISKY, "Random address C: RCPT"),
        ("info", Behaviour.ORDINARY, ExitCode.RISKY, "belongs to a function"),
        ("grace", Behaviour.REFUSING_AT_BANNER, ExitCode.UNKNOWN, "= blocked"),
        ("grace", Behaviour.FIRST_MX_DEAD, ExitCode.INVALID, ": No connection: Connection refused."),
        ("new-user", Behaviour.GREYLISTING, ExitCode.UNKNOWN, "(greylisted), score 30"),
    ],
)
def test_each_behaviour_has_its_sentence_and_its_exit_code(
    internet: Internet, population: Population, local_part: str, behaviour: Behaviour, code: ExitCode, sentence: str
) -> None:
    call = Call(internet, f"{local_part}@{domain_of(population, behaviour)}")

    assert call.code is code
    assert sentence in call.out


def test_greylisting_is_waited_out_if_the_patience_allows(internet: Internet, population: Population) -> None:
    domain = greylisting(population, states_delay=False)

    call = Call(internet, f"second-user@{domain}", patience=1.5)

    assert call.code is ExitCode.INVALID
    assert f"{domain}: The mail server asks unknown senders to try again later. Waiting 2 s" in call.err
    assert call.out.count("Greeting") == 2


def test_a_wait_longer_than_the_patience_is_not_waited_but_reported(internet: Internet, population: Population) -> None:
    domain = greylisting(population, states_delay=True)

    call = Call(internet, f"third-user@{domain}", patience=3)

    assert call.code is ExitCode.UNKNOWN
    assert "It can be asked again in 6 s: --patience 6 waits for that." in call.out


def test_a_blocked_port_is_reported_in_one_clear_sentence(internet: Internet, valid: str) -> None:
    call = Call(internet, valid, smtp_port=9)

    assert call.code is ExitCode.UNKNOWN
    assert "Most clouds block outgoing port 25: ask yours to open it" in call.err


def test_an_invalid_resolver_is_reported(internet: Internet, valid: str) -> None:
    with pytest.raises(UnableToCheck, match="check DNS_RESOLVERS"):
        Call(internet, valid, dns_resolvers="x" * 64)
