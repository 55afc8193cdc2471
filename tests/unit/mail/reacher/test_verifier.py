"""A remote verifier in the place of mail servers: its requests, its answers, and its failures."""

import asyncio
import gzip
import json
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipeline.mail.config import RemoteVerifierConfig
from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.mail.outage import ENOUGH
from pipeline.mail.reacher.verifier import MAX_ANSWER
from pipeline.outcomes import Deferral, Outcome, OutcomeStatus, Reason
from pipeline.stages.email_verify import PROBED_TOGETHER
from tests.unit.mail.servers.reacher_server import Reacher, Response, failed, output, reacher
from tests.unit.mail.servers.scripted_servers import name_server
from tests.unit.mail.verifying import addresses, results_of

VALID = (OutcomeStatus.VALID, Reason.MAILBOX_EXISTS)
DOMAINS = [f"d{number}.test" for number in range(ENOUGH)]


@asynccontextmanager
async def network_to(url: str, **config: Any):  # type: ignore[no-untyped-def]
    """A network whose name server knows some domains, all with a mail host that can not be reached."""
    zone = {(domain, "MX"): ["10 mx.acme.test."] for domain in ["acme.test", *DOMAINS]}
    verifier = RemoteVerifierConfig(url, config.pop("header", None), config.pop("at_once", 10))
    async with name_server(zone | {("mx.acme.test", "A"): ["127.0.0.1"]}) as (_, address):
        network = MailNetwork(MailNetworkConfig((address,), 9, allow_private=True, verifier=verifier, **config))
        try:
            yield network
        finally:
            await network.close()


async def verify_with(network: MailNetwork, emails: Sequence[str]) -> list[Outcome | Deferral]:
    return await results_of(addresses(*emails), network)


def verify(
    say: Callable[[str], Response | None], *emails: str, **config: Any
) -> tuple[list[Outcome | Deferral], Reacher]:
    async def scenario() -> tuple[list[Outcome | Deferral], Reacher]:
        async with reacher(say) as service, network_to(service.url, **config) as network:
            return await verify_with(network, emails or ["grace@acme.test"]), service

    return asyncio.run(scenario())


def verdict(result: Outcome | Deferral) -> tuple[OutcomeStatus, Reason]:
    assert isinstance(result, Outcome)
    return result.status, result.reason


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (output(), VALID),
        (output(is_catch_all=True), (OutcomeStatus.RISKY, Reason.CATCH_ALL)),
        (output(is_deliverable=False), (OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX)),
        (output(is_disabled=True, is_deliverable=False), (OutcomeStatus.INVALID, Reason.MAILBOX_DISABLED)),
        (output(has_full_inbox=True), (OutcomeStatus.RISKY, Reason.MAILBOX_FULL)),
        (
            output(can_connect_smtp=False, is_deliverable=False),
            (OutcomeStatus.UNKNOWN, Reason.SERVER_UNREACHABLE),
        ),
        (failed("permanent: 5.1.1 User unknown"), (OutcomeStatus.INVALID, Reason.NO_SUCH_MAILBOX)),
        (failed("transient: 4.7.1 Greylisted, come back later"), (OutcomeStatus.UNKNOWN, Reason.GREYLISTED)),
        (
            failed("permanent: 5.7.1 see our postmaster page", description="IpBlacklisted"),
            (OutcomeStatus.UNKNOWN, Reason.BLOCKED),
        ),
        (
            failed("io: Connection refused (os error 111)", "SmtpError"),
            (OutcomeStatus.UNKNOWN, Reason.SERVER_UNREACHABLE),
        ),
        (failed("something else", "ParseError"), (OutcomeStatus.UNKNOWN, Reason.SERVER_UNCLEAR)),
        (Response(b"<html>hello</html>"), (OutcomeStatus.UNKNOWN, Reason.SERVER_UNCLEAR)),
        (Response({"smtp": {"is_deliverable": "yes"}}), (OutcomeStatus.UNKNOWN, Reason.SERVER_UNCLEAR)),
        (Response({"error": "oops"}, status=500), (OutcomeStatus.UNKNOWN, Reason.SERVER_UNCLEAR)),
        (Response({"error": "bad key"}, status=401), (OutcomeStatus.UNKNOWN, Reason.SERVER_UNREACHABLE)),
    ],
)
def test_what_the_verifier_saw_becomes_a_verdict_of_ours(
    response: Response, expected: tuple[OutcomeStatus, Reason]
) -> None:
    (result,), _ = verify(lambda _: response, defer_seconds=())

    assert verdict(result) == expected


def test_its_own_verdict_is_no_evidence() -> None:
    """Reacher says `invalid` of a server that it could not reach."""
    unreached = output(can_connect_smtp=False, is_catch_all=False, is_deliverable=False)

    (result,), _ = verify(lambda _: Response({**unreached.body, "is_reachable": "invalid"}))

    assert verdict(result)[0] is OutcomeStatus.UNKNOWN


def test_the_evidence_names_the_verifier_and_the_mail_host() -> None:
    (result,), _ = verify(lambda _: output())

    assert isinstance(result, Outcome)
    assert result.evidence.reply.mail_host == "mx.acme.test"
    assert result.evidence.reply.reply_text == "127.0.0.1 says: can_connect_smtp, is_deliverable"
    assert result.evidence.catch_all is False


def test_each_address_is_requested_once_and_no_random_one_where_catch_all_is_known() -> None:
    async def scenario() -> list[str]:
        async with reacher(lambda _: output()) as service, network_to(service.url) as network:
            for _ in range(2):
                await verify_with(network, ["grace@acme.test", "grace@acme.test", "ada@acme.test"])
            return service.asked

    assert sorted(asyncio.run(scenario())) == ["ada@acme.test", "grace@acme.test"]


def test_no_random_address_is_requested_beside_many_addresses_either() -> None:
    many = [f"person{number}@acme.test" for number in range(PROBED_TOGETHER + 1)]

    results, service = verify(lambda _: output(), *many)

    assert sorted(service.asked) == many
    assert {verdict(each) for each in results} == {VALID}


def test_what_syntax_and_dns_decide_is_not_requested() -> None:
    results, service = verify(lambda _: output(), "no address", "grace@gone.test")

    assert [verdict(each)[1] for each in results] == [Reason.SYNTAX, Reason.NO_SUCH_DOMAIN]
    assert service.asked == []


def test_the_header_and_the_path_are_as_configured() -> None:
    _, service = verify(lambda _: output(), header=("x-reacher-secret", "example-secret"))

    assert service.headers[0]["x-reacher-secret"] == "example-secret"
    assert service.headers[0]["request"] == "POST /v1/check_email HTTP/1.1"


def test_no_more_are_asked_at_once_than_allowed() -> None:
    _, service = verify(lambda _: output(), *(f"p{number}@acme.test" for number in range(30)), at_once=3)

    assert (len(service.asked), service.most_at_once) == (30, 3)


@pytest.mark.parametrize("status", [429, 503])
def test_after_a_short_wait_the_verifier_is_asked_again(status: int) -> None:
    responses = [Response({}, status, {"Retry-After": "0"}), output()]

    (result,), service = verify(lambda _: responses.pop(0))

    assert verdict(result) == VALID
    assert len(service.asked) == 2


@pytest.mark.parametrize("stated", ["\u00b2", "9" * 400, "Tue, 24 Nov 99999999999 12:00:00 GMT", "soon", "-1"])
def test_a_verifier_that_states_an_unreadable_wait_is_asked_later(stated: str) -> None:
    (result,), _ = verify(lambda _: Response({}, 429, {"Retry-After": stated}), defer_seconds=())

    assert verdict(result) == (OutcomeStatus.UNKNOWN, Reason.RATE_LIMITED)


@pytest.mark.parametrize(
    "response",
    [
        Response(b"{" + b" " * 2 * MAX_ANSWER),
        Response(gzip.compress(b" " * 50_000_000), 200, {"Content-Encoding": "gzip"}),
        Response(b"{" * 10_000),
    ],
    ids=["too long", "a bomb", "too deep"],
)
def test_an_answer_that_is_too_much_to_read_says_nothing(response: Response) -> None:
    (result,), _ = verify(lambda _: response)

    assert verdict(result) == (OutcomeStatus.UNKNOWN, Reason.SERVER_UNCLEAR)


def test_a_compressed_answer_is_read() -> None:
    body = gzip.compress(json.dumps(output().body).encode())

    (result,), _ = verify(lambda _: Response(body, 200, {"Content-Encoding": "gzip"}))

    assert verdict(result) == VALID


def test_a_name_that_no_host_has_is_kept_in_part() -> None:
    response = output()
    response.body["mx"]["records"] = ["a." * 30_000]

    (result,), _ = verify(lambda _: response)

    assert isinstance(result, Outcome)
    assert len(result.evidence.reply.mail_host) < 256


def test_a_mail_servers_words_are_kept_without_control_characters() -> None:
    response = failed("permanent: 5.1.1 user\0 unknown \x1b[31m\r\n")
    response.body["mx"]["records"] = ["mx\0.acme.test.\n"]

    (result,), _ = verify(lambda _: response)

    assert isinstance(result, Outcome)
    assert result.reason is Reason.NO_SUCH_MAILBOX
    assert all(text.isprintable() for text in result.evidence.to_json().values() if isinstance(text, str))


@pytest.mark.parametrize("status", [429, 503])
def test_a_long_wait_defers_the_contact_for_as_long_as_stated(status: int) -> None:
    (result,), service = verify(lambda _: Response({}, status, {"Retry-After": "600"}))

    assert result == Deferral(0, 605.0, Reason.RATE_LIMITED)
    assert len(service.asked) == 1


def test_a_verifier_that_says_nothing_costs_one_time_limit() -> None:
    (result,), _ = verify(lambda _: None, contact_timeout=0.2)

    assert verdict(result) == (OutcomeStatus.UNKNOWN, Reason.TIME_LIMIT)


def outage_after(say: Callable[[str], Response | None] | None, emails: Sequence[str]) -> str | None:
    async def scenario() -> str | None:
        async with reacher(say or (lambda _: None)) as service:
            url = service.url if say else "http://127.0.0.1:9/v1/check_email"
            async with network_to(url) as network:
                await verify_with(network, emails)
                outage = network.outage()
                return outage.code if outage else None

    return asyncio.run(scenario())


EVERYWHERE = [f"grace@{domain}" for domain in DOMAINS]


def test_a_verifier_that_is_away_for_all_domains_is_an_outage() -> None:
    assert outage_after(None, EVERYWHERE) == "verifier_unreachable"
    assert outage_after(None, EVERYWHERE[:-1]) is None


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_verifier_that_refuses_us_is_an_outage_at_once(status: int) -> None:
    assert outage_after(lambda _: Response({}, status), EVERYWHERE[:1]) == "verifier_refuses"


def test_mail_servers_that_the_verifier_can_not_reach_are_none() -> None:
    assert outage_after(lambda _: output(can_connect_smtp=False), EVERYWHERE) is None
