"""Prints a check as a conversation: each step with the lines of both sides, their meaning, and their duration."""

from collections.abc import Iterator, Sequence

from rich.console import Console

from cli.verify.domain_check import DomainCheck
from pipeline.mail.dns.routes import MailRoute
from pipeline.mail.replies.classify import classify, classify_refused_session
from pipeline.mail.smtp.reply import Reply
from pipeline.mail.smtp.transcript import Exchange, SessionTranscript
from pipeline.outcomes import Outcome, OutcomeStatus

LABEL_WIDTH = 15
ADVICE = {
    OutcomeStatus.VALID: "Mail to it would arrive: it is safe to send.",
    OutcomeStatus.RISKY: "Mail to it may bounce or not be read: send with care, or to few of this kind at once.",
    OutcomeStatus.INVALID: "Mail to it would bounce: do not send, and remove it from the list.",
    OutcomeStatus.UNKNOWN: "Nothing is proven, so it is not invalid either: check it again later, or send with care.",
}
COLOURS = {
    OutcomeStatus.VALID: "green",
    OutcomeStatus.RISKY: "yellow",
    OutcomeStatus.INVALID: "red",
    OutcomeStatus.UNKNOWN: "yellow",
}


def print_check(console: Console, check: DomainCheck) -> None:
    """Print the conversation about a domain's addresses, then the verdict on each of them."""
    _print(console, "Syntax", f"{_listed(check.emails)}: valid (RFC 5321)")
    _print(console, "Domain", *_domain(check.route), seconds=check.route_seconds)
    for session in check.transcript.sessions:
        _print_session(console, session, check.emails)
    for email, outcome in zip(check.emails, check.outcomes, strict=True):
        print_verdict(console, email, outcome)


def print_verdict(console: Console, email: str, outcome: Outcome) -> None:
    """Print the verdict on an address, why, and what to do."""
    _print(console, "Verdict", f"{email} is {outcome.status} ({outcome.reason}), score {outcome.score} of 100")
    style = COLOURS.get(outcome.status, "")
    console.print(" " * LABEL_WIDTH + outcome.reason.sentence, style=style, soft_wrap=True, highlight=False)
    if outcome.evidence.facts and (meant := outcome.evidence.facts.did_you_mean):
        _print(console, "", f"Was {meant} meant?")
    if seconds := outcome.evidence.come_back_after_seconds:
        _print(console, "", f"It can be asked again in {seconds} s: --patience {seconds} waits for that.")
    console.print(" " * LABEL_WIDTH + ADVICE[outcome.status], soft_wrap=True, highlight=False)


def _print_session(console: Console, session: SessionTranscript, emails: Sequence[str]) -> None:
    if session.failure or not session.exchanges:
        _print(
            console,
            "Connection",
            f"{session.ip}: {session.failure or 'no connection was opened'}",
            seconds=session.seconds,
        )
        return
    _print(console, "Connection", f"{session.ip}: open", seconds=session.seconds)
    for exchange in session.exchanges:
        _print(console, _label(exchange, emails), *_lines(exchange), seconds=exchange.seconds)
        if exchange.reply and (meaning := _meaning(exchange, exchange.reply)):
            _print(console, "", f"   = {meaning}")
    if session.noise:
        _print(console, "", f"   = {session.noise}")


def _label(exchange: Exchange, emails: Sequence[str]) -> str:
    verb = exchange.command.partition(" ")[0]
    if verb != "RCPT":
        return verb or "Greeting"
    recipient = exchange.command.partition("<")[2].rpartition(">")[0]
    return "RCPT" if recipient in emails else "Random address"


def _lines(exchange: Exchange) -> Iterator[str]:
    if exchange.command:
        yield f"C: {exchange.command}"
    if exchange.reply is None:
        yield "S: (nothing)"
        return
    *lines, last = exchange.reply.lines
    yield from (f"S: {exchange.reply.code}-{line}" for line in lines)
    yield f"S: {exchange.reply.code} {last}"


def _meaning(exchange: Exchange, reply: Reply) -> str:
    """Say what a reply means, unless it merely accepts an ordinary command."""
    if exchange.command.startswith("RCPT"):
        return classify(reply).replace("_", " ")
    if reply.code >= 400 and not exchange.command.startswith(("QUIT", "STARTTLS")):
        return classify_refused_session(reply).replace("_", " ")
    return ""


def _domain(route: MailRoute) -> Iterator[str]:
    if route.problem is not None:
        yield f"{route.domain}: {route.problem.sentence}"
        return
    yield f"{route.domain} takes mail at"
    yield from (f"   {host.name} ({', '.join(host.addresses)})" for host in route.hosts)


def _listed(emails: Sequence[str], most: int = 3) -> str:
    rest = len(emails) - most
    return ", ".join(emails[:most]) + (f" and {rest} more" if rest > 0 else "")


def _print(console: Console, label: str, *lines: str, seconds: float | None = None) -> None:
    *first, last = lines
    for index, line in enumerate([*first, last if seconds is None else f"{last}  [{_took(seconds)}]"]):
        console.print(
            f"{label if not index else '':<{LABEL_WIDTH}}{line}", soft_wrap=True, highlight=False, markup=False
        )


def _took(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
