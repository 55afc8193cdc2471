"""`growth doctor --mail-domain`: checks name servers, mail servers and our identity."""

import asyncio
import secrets
import socket
from collections.abc import Iterator

from dns.resolver import NoResolverConfiguration

from cli.doctor.finding import Finding, fine, warned, wrong
from pipeline.mail.address.syntax import normalise_domain
from pipeline.mail.dns.routes import MailRoute
from pipeline.mail.identity import Identity, find_identity, source_address
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.mail.reacher.verifier import RemoteVerifier
from pipeline.mail.replies.answer import Answer
from pipeline.mail.replies.meaning import Meaning
from pipeline.mail.smtp.transcript import TRANSCRIPT, Transcript
from pipeline.outcomes import Reason
from settings import Settings
from settings.mail import mail_network_config

PORT_25_ADVICE = (
    "most clouds and homes block port 25 going out: ask your provider to open it, run the workers where it is open, or "
    "set VERIFIER_URL to a verifier that runs where it is."
)


def look_at_mail(settings: Settings, text: str) -> list[Finding]:
    """Look up a domain's mail servers, and ask one of them, or the remote verifier, about its postmaster."""
    domain = normalise_domain(text)
    if domain is None:
        return [wrong("DNS", "--mail-domain is not a domain name.")]
    try:
        config = mail_network_config(settings)
        network = MailNetwork(config)
    except (OSError, UnicodeError, NoResolverConfiguration) as error:
        return [wrong("DNS", f"no resolver can be used ({type(error).__name__}): set DNS_RESOLVERS.")]
    return asyncio.run(_look(settings, config, network, domain))


async def _look(settings: Settings, config: MailNetworkConfig, network: MailNetwork, domain: str) -> list[Finding]:
    try:
        route = await network.route(domain)
        if (finding := _route_problem(route)) is not None:
            return finding
        found = [_honesty(await network.route(f"{secrets.token_hex(12)}.com"), route)]
        if config.verifier is not None:
            return [*found, await _verifier(config, domain)]
        answer, transcript = await _ask_postmaster(network, route)
        identities = [
            _identity(settings, await find_identity(config.nameservers, config.helo_name, source, config.dns_timeout))
            for source in config.source_ips or [source_address(route.hosts[0].addresses[0])]
        ]
        return [*found, _smtp(settings, answer, transcript), *_tls(transcript), *identities]
    finally:
        await network.close()


async def _ask_postmaster(network: MailNetwork, route: MailRoute) -> tuple[Answer, Transcript]:
    """Ask about the mailbox that every domain has (RFC 5321 4.5.1)."""
    transcript = Transcript()
    TRANSCRIPT.set(transcript)
    async with network.conversation(route) as conversation:
        (answer,) = (await conversation.probe([f"postmaster@{route.domain}"])).values()
    return answer, transcript


def _route_problem(route: MailRoute) -> list[Finding] | None:
    if route.problem is None:
        return None
    if route.problem is Reason.DNS_FAILURE:
        why = f" ({route.detail})" if route.detail else ""
        return [wrong("DNS", f"no answer about {route.domain}{why}: check DNS_RESOLVERS and the firewall.")]
    answers = fine("DNS", "answers.")
    if route.problem is Reason.UNUSABLE_MAIL_HOST:
        return [answers, wrong("SMTP", f"{route.domain}'s mail servers are private: set SMTP_ALLOW_PRIVATE.")]
    return [answers, wrong("SMTP", route.problem.sentence)]


def _honesty(nowhere: MailRoute, route: MailRoute) -> Finding:
    """Check that the resolver does not make up answers, which would make dead domains look alive."""
    if nowhere.problem not in (Reason.NO_SUCH_DOMAIN, Reason.DNS_FAILURE):
        return wrong("DNS", "the resolver makes up an answer for a name that does not exist: set DNS_RESOLVERS.")
    return fine(
        "DNS", f"{route.domain} takes mail at {route.hosts[0].name}; a name that does not exist is reported as such."
    )


def _smtp(settings: Settings, answer: Answer, transcript: Transcript) -> Finding:
    port = settings.smtp_port
    if not any(session.exchanges for session in transcript.sessions):
        why = "; ".join(
            f"{session.ip}: {session.failure.rstrip('.') or 'no answer'}" for session in transcript.sessions
        )
        return wrong("SMTP", f"{answer.mail_host} does not answer on port {port} ({why}): {PORT_25_ADVICE}")
    if answer.code == 0:
        return wrong("SMTP", f"{answer.mail_host} takes connections on port {port}, and then: {answer.text}")
    if answer.meaning is Meaning.BLOCKED:
        return wrong(
            "SMTP", f"{answer.mail_host} refuses our address ({answer.code}): check reverse DNS and blocklists."
        )
    return fine("SMTP", f"{answer.mail_host} answers on port {port} ({answer.code}).")


def _tls(transcript: Transcript) -> Iterator[Finding]:
    exchanges = [exchange for session in transcript.sessions for exchange in session.exchanges if exchange.reply]
    greeted = [each.reply for each in exchanges if each.command.startswith("EHLO") and each.reply]
    if not greeted:
        return
    started = [each.reply for each in exchanges if each.command == "STARTTLS" and each.reply]
    if started:
        encrypted = started[-1].code == 220 and len(greeted) > 1
        yield (
            fine("TLS", "STARTTLS works.")
            if encrypted
            else wrong("TLS", f"STARTTLS fails ({started[-1].code}): is there a proxy in between that breaks it?")
        )
    elif "STARTTLS" in {line.upper() for line in greeted[-1].lines}:
        yield fine("TLS", "the server offers STARTTLS; it was not used.")
    else:
        yield warned("TLS", "the server does not offer STARTTLS, so others on the network can read what we ask.")


def _identity(settings: Settings, identity: Identity) -> Finding:
    if not settings.smtp_helo_name:
        name = socket.getfqdn()
        return warned(
            "Identity",
            f"SMTP_HELO_NAME is not set, so we greet mail servers as {name}: set it to the name that your address"
            " resolves to, which most of them want to hear.",
        )
    if identity.problem is not None:
        return wrong("Identity", identity.problem)
    nat = " (we are behind a NAT: that others see this address could not be checked)" if identity.is_behind_nat else ""
    return fine("Identity", f"{identity.name} resolves to {', '.join(identity.names)} and back{nat}.")


async def _verifier(config: MailNetworkConfig, domain: str) -> Finding:
    assert config.verifier is not None  # noqa: S101 - the caller has checked; this tells the type checker
    verifier = RemoteVerifier(config.verifier)
    try:
        result = await verifier.check(domain, f"postmaster@{domain}", config.contact_timeout)
    finally:
        await verifier.close()
    if verifier.outage is not None:
        return wrong("Verifier", verifier.outage.message)
    if not verifier.has_answered:
        return wrong("Verifier", f"{result.answer.text}: check VERIFIER_URL, and that the service runs.")
    return fine("Verifier", f"{verifier.name} answers; mail servers are not asked from here.")
