"""`growth verify ADDRESS`: verifies some addresses and prints the result."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from dns.resolver import NoResolverConfiguration
from rich.console import Console

from cli.client import ApiError
from cli.exit_codes import ExitCode, UnableToCheck
from cli.home import adopt_settings
from cli.terminal import say, write_json
from cli.verify.as_json import check_as_json, check_as_reacher, outcome_as_json, outcome_as_reacher
from cli.verify.as_steps import print_check, print_verdict
from cli.verify.domain_check import DomainCheck, OnWait, check_domain
from cli.verify.output_files import no_address
from cli.verify.verdict_format import Shown
from pipeline.mail.address.syntax import Address, SyntaxProblem, parse_address
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.mail.outage import SMTP_PORT_BLOCKED
from pipeline.outcomes import Outcome, OutcomeStatus, Reason
from settings import Settings, load_settings
from settings.mail import mail_network_config

T = TypeVar("T")


WORST_FIRST = (OutcomeStatus.INVALID, OutcomeStatus.UNKNOWN, OutcomeStatus.RISKY, OutcomeStatus.VALID)


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of checking some addresses: texts that are no addresses, and a check of each domain."""

    no_addresses: Mapping[str, Outcome]
    checks: Sequence[DomainCheck]

    @property
    def outcomes(self) -> list[Outcome]:
        return [*self.no_addresses.values(), *(outcome for check in self.checks for outcome in check.outcomes)]


def settings_here(home: Path, errors: Console) -> Settings:
    """Return the settings of this machine, or of the engine in this home. Raises `UnableToCheck`."""
    try:
        if notice := adopt_settings(home):
            say(notice, style="yellow", to=errors)
        return load_settings()
    except ApiError as error:
        raise UnableToCheck(str(error)) from error
    except SystemExit as ending:
        raise UnableToCheck(str(ending.code)) from ending


def verify_addresses(
    settings: Settings, texts: Sequence[str], patience: float, output: Console, errors: Console, shown: Shown
) -> ExitCode:
    """Verify addresses and print the result. Raises `UnableToCheck`."""

    def tell_wait(domain: str, reason: Reason, seconds: float) -> None:
        errors.print(f"{domain}: {reason.sentence} Waiting {seconds:.0f} s (Ctrl-C stops).", soft_wrap=True)

    checked = run_until_signal(_check(mail_config(settings, patience), texts, patience, tell_wait))
    if checked is None:
        errors.print("Stopped.")
        return ExitCode.INTERRUPTED
    _PRINTERS[shown](output, checked)
    if is_unreachable(outcome.reason for outcome in checked.outcomes):
        say_port_is_shut(errors)
    return _exit_code(checked.outcomes)


def mail_config(settings: Settings, patience: float) -> MailNetworkConfig:
    """Configure the mail network, with deferrals that fit into `patience` seconds. Raises `UnableToCheck`."""
    try:
        config = mail_network_config(settings)
    except (OSError, UnicodeError) as error:
        raise UnableToCheck(f"A resolver's name can't be looked up ({error}): check DNS_RESOLVERS.") from error
    waits = tuple(min(seconds, patience) for seconds in config.defer_seconds)
    return replace(config, defer_seconds=waits if patience else ())


def open_network(config: MailNetworkConfig) -> MailNetwork:
    """Open a mail network. Raises `UnableToCheck` without a resolver."""
    try:
        return MailNetwork(config)
    except NoResolverConfiguration as error:
        raise UnableToCheck("This machine has no DNS resolver: set DNS_RESOLVERS.") from error


def is_unreachable(reasons: Iterable[Reason]) -> bool:
    """Whether there were mail servers to ask and none could be reached."""
    unasked = {Reason.SYNTAX, Reason.NO_EMAIL, Reason.NO_SUCH_DOMAIN, Reason.NO_MAIL_SERVER, Reason.NULL_MX}
    return {reason for reason in reasons if reason not in unasked} == {Reason.SERVER_UNREACHABLE}


def say_port_is_shut(errors: Console) -> None:
    """Print the likely cause when no mail server can be reached."""
    errors.print(SMTP_PORT_BLOCKED.message, style="red", soft_wrap=True, highlight=False, markup=False)


def run_until_signal(work: Coroutine[Any, Any, T]) -> T | None:
    """Run a coroutine; return None if Ctrl-C or SIGTERM comes first.

    The coroutine is cancelled then, and can close its SMTP sessions with QUIT. uvloop takes a seventh less processor
    time than asyncio's own event loop (docs/decisions/0017).
    """

    async def run() -> T | None:
        task = asyncio.ensure_future(work)
        for ending in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(ending, task.cancel)
        await asyncio.wait({task})
        return None if task.cancelled() else task.result()

    return uvloop.run(run())


async def _check(config: MailNetworkConfig, texts: Sequence[str], patience: float, on_wait: OnWait) -> Checked:
    parsed = {text: parse_address(text) for text in texts}
    domains: dict[str, dict[str, None]] = {}
    for address in parsed.values():
        if isinstance(address, Address):
            domains.setdefault(address.domain, {})[str(address)] = None
    network = open_network(config)
    try:
        checks = [check_domain(domain, list(emails), network, patience, on_wait) for domain, emails in domains.items()]
        done = await asyncio.gather(*(asyncio.create_task(check) for check in checks))
    finally:
        await network.close()
    problems = {text: each for text, each in parsed.items() if isinstance(each, SyntaxProblem)}
    return Checked({text: no_address(problem) for text, problem in problems.items()}, done)


def _print_steps(console: Console, checked: Checked) -> None:
    for text, outcome in checked.no_addresses.items():
        console.print(f"Syntax         {outcome.evidence.syntax}", soft_wrap=True, highlight=False, markup=False)
        print_verdict(console, text, outcome)
    for check in checked.checks:
        print_check(console, check)


def _print_json(_: Console, checked: Checked) -> None:
    objects = [outcome_as_json(text, outcome) for text, outcome in checked.no_addresses.items()]
    _write([*objects, *(each for check in checked.checks for each in check_as_json(check))])


def _print_reacher(_: Console, checked: Checked) -> None:
    objects = [outcome_as_reacher(text, outcome) for text, outcome in checked.no_addresses.items()]
    _write([*objects, *(each for check in checked.checks for each in check_as_reacher(check))])


def _write(objects: Sequence[Mapping[str, Any]]) -> None:
    indent = 2 if len(objects) == 1 else None
    for each in objects:
        write_json(each, indent=indent)


_PRINTERS: Mapping[Shown, Callable[[Console, Checked], None]] = {
    Shown.STEPS: _print_steps,
    Shown.JSON: _print_json,
    Shown.REACHER: _print_reacher,
}


def _exit_code(outcomes: Iterable[Outcome]) -> ExitCode:
    found = {outcome.status for outcome in outcomes}
    return ExitCode[next(status for status in WORST_FIRST if status in found).name]
